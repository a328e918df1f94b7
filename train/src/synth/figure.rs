//! The dancer: a body whose joints follow the music.

use super::canvas::{Point, Stroke};
use super::curves::Moment;
use super::rng::Rng;

/// A dancer's build; lengths in stage units at scale 1, at which it stands about 56 units high.
#[derive(Clone, Debug)]
pub struct Body {
    limb: f32,
    trunk: f32,
    head: f32,
    arm: f32,
    leg: f32,
    /// Half the width of the skirt's hem; 0 for trousers.
    skirt: f32,
    /// Inks of head, arms, trunk and legs.
    inks: [usize; 4],
    /// How far the limbs swing, in radians.
    swing: f32,
    /// Where in its movement each dancer begins, in radians.
    begin: f32,
}

/// Strokes of one dancer.
pub const STROKES: usize = 14;

impl Body {
    pub fn new(rng: &mut Rng) -> Self {
        let mut ink = || usize::from(rng.chance(0.5));
        let inks = [ink(), ink(), ink(), ink()];
        Self {
            inks,
            limb: rng.between(1.9, 3.4),
            trunk: rng.between(3.4, 6.0),
            head: rng.between(4.4, 6.6),
            arm: rng.between(9.0, 12.0),
            leg: rng.between(11.0, 13.5),
            skirt: if rng.chance(0.35) { rng.between(6.0, 12.0) } else { 0.0 },
            swing: rng.between(0.3, 0.5),
            begin: rng.between(0.0, 6.0),
        }
    }

    /// The body around `centre`, `scale` times its size; its leading hand is on the right for `side` 1.
    pub fn strokes(&self, now: &Moment, centre: Point, scale: f32, side: f32) -> [Stroke; STROKES] {
        let [head_ink, arm_ink, trunk_ink, leg_ink] = self.inks;
        let energy = self.swing * (0.6 + 0.8 * now.loudness) * (1.0 - 0.8 * now.still);
        // 1.5 swings a second where density is highest: 4 pictures a second show no more than 2.
        let phase = self.begin + now.travel * 0.168;
        let wave = |late: f32| energy * (phase + late).sin();
        let [arm, elbow, leg, lean] = now.pose;

        let stroke = |from: Point, to: Point, radius: f32, ink| {
            let placed = |(x, y): Point| (centre.0 + side * scale * x, centre.1 + scale * y);
            Stroke { from: placed(from), to: placed(to), radius: scale * radius, ink }
        };
        // The end of a bone that hangs from `from`, turned outwards (to the right) by `angle`.
        let bone = |from: Point, length: f32, angle: f32| {
            let (sin, cos) = angle.sin_cos();
            (from.0 + length * sin, from.1 + length * cos)
        };

        let hip = (0.0, 5.0);
        let tilt = 0.5 * wave(0.8) + 0.35 * lean + 0.12 * now.sway;
        let neck = bone(hip, -19.0, -tilt);
        let crown = bone(neck, -self.head - 2.0, -0.7 * tilt);
        let shoulders = [1.0, -1.0].map(|way| (neck.0 + way * self.trunk * 0.9, neck.1 + 2.5));

        // The leading hand rises with the melody, the other one answers.
        let lifts = [0.35 + 2.3 * now.melody + wave(0.0) + 0.5 * arm, 0.7 - 0.9 * wave(0.0) + 0.8 * elbow];
        let bends = [0.3 + 0.8 * wave(1.1) + 0.7 * elbow, 0.5 + 0.8 * wave(2.6) - 0.7 * arm];
        let arms = [0, 1].map(|hand| {
            let way = [1.0, -1.0][hand];
            let middle = bone(shoulders[hand], self.arm, way * lifts[hand]);
            [shoulders[hand], middle, bone(middle, self.arm, way * (lifts[hand] + bends[hand]))]
        });
        // A deep bass widens the stance.
        let stance = 0.12 + 0.45 * now.bass;
        let bend = 0.15 + 0.15 * (1.0 + now.bounce) + 0.3 * leg.abs();
        let legs = [1.0, -1.0].map(|way: f32| {
            let spread = stance + way * 0.7 * wave(0.0) + (0.35 * way + 0.25) * leg;
            let from = (way * 0.5 * self.trunk, hip.1);
            let knee = bone(from, self.leg, way * (spread + 0.5 * bend));
            [from, knee, bone(knee, self.leg, way * (spread - 0.5 * bend))]
        });
        let hem = bone(hip, 0.9 * self.leg, 0.4 * tilt);
        let (thin, thick) = (0.85 * self.limb, self.limb * 1.1);
        let half = self.skirt;

        [
            stroke(legs[1][0], legs[1][1], thick, leg_ink),
            stroke(legs[1][1], legs[1][2], self.limb, leg_ink),
            stroke(legs[0][0], legs[0][1], thick, leg_ink),
            stroke(legs[0][1], legs[0][2], self.limb, leg_ink),
            stroke(arms[1][0], arms[1][1], self.limb, arm_ink),
            stroke(arms[1][1], arms[1][2], thin, arm_ink),
            // Without a skirt, these three are inside the trunk.
            stroke(hip, if half > 0.0 { (hem.0 - half, hem.1) } else { hip }, 0.6 * self.trunk, trunk_ink),
            stroke(hip, if half > 0.0 { (hem.0 + half, hem.1) } else { hip }, 0.6 * self.trunk, trunk_ink),
            stroke(hip, if half > 0.0 { hem } else { hip }, 0.9 * self.trunk, trunk_ink),
            stroke(hip, (neck.0, neck.1 + self.trunk), self.trunk, trunk_ink),
            stroke(neck, bone(neck, -3.0, -tilt), 0.9 * self.limb, head_ink),
            stroke(crown, crown, self.head, head_ink),
            stroke(arms[0][0], arms[0][1], self.limb, arm_ink),
            stroke(arms[0][1], arms[0][2], thin, arm_ink),
        ]
    }
}
