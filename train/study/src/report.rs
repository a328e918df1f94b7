//! The report of a study as Markdown.

use std::fmt;

use crate::analysis::{Comparison, MEASURES, Power, Report, Score, Test};

/// A mean with two decimals, as in the paper, and its interval.
fn mean(score: &Score) -> String {
    let interval = score.interval.map_or("".into(), |[low, high]| format!(" [{low:.2}, {high:.2}]"));
    format!("{:.2}{interval}", score.mean)
}

fn signed(score: &Score) -> String {
    let interval = score.interval.map_or("".into(), |[low, high]| format!(" [{low:+.2}, {high:+.2}]"));
    format!("{:+.2}{interval}", score.mean)
}

fn p(p: f64) -> String {
    if p < 0.001 { "< 0.001".into() } else { format!("{p:.3}") }
}

fn test(Test { count, p: plain, holm }: Test) -> String {
    format!("{} ({}; n = {count})", p(holm), p(plain))
}

impl Comparison {
    /// Whether both tests find a difference at the level of 5 %, after Holm's correction, and the interval holds none that is zero.
    pub fn is_significant(&self) -> bool {
        let apart = self.difference.interval.is_some_and(|[low, high]| low > 0.0 || high < 0.0);
        apart && self.by_people.holm < 0.05 && self.by_films.holm < 0.05
    }
}

/// Text in a cell of a table.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

/// Markdown.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { title, study, people, films, ratings, incomplete, failed, .. } = self;
        writeln!(f, "# {}\n", cell(title))?;
        let left_out = match failed.len() {
            0 => "nobody was left out".into(),
            1 => "1 was left out".into(),
            count => format!("{count} were left out"),
        };
        writeln!(
            f,
            "Study {study}: {people} people, {films} films, {ratings} ratings of each kind, 0 to 5; {left_out}."
        )?;
        if *incomplete > 0 {
            writeln!(f, "{incomplete} of them stopped before their last film; what they rated counts.")?;
        }
        writeln!(f, "\n## Scores\n\n| | Smoothness | Relevance |\n|---|---|---|")?;
        for system in &self.systems {
            let scores: Vec<_> = system.scores.iter().map(mean).collect();
            writeln!(f, "| {} | {} |", cell(&system.system), scores.join(" | "))?;
        }
        writeln!(
            f,
            "\nMeans as in the paper's table 2. In brackets: 95 % bootstrap intervals over people and films (Owen 2007; percentiles \
             expanded for few of them, Hesterberg 2015): other people and other films of the same kind may be expected there."
        )?;
        writeln!(f, "\n## Differences\n\n| | | difference | p by people | p by films | |\n|---|---|---|---|---|---|")?;
        for comparison in &self.comparisons {
            let Comparison { measure, systems: [one, other], difference, by_people, by_films } = comparison;
            let (difference, by_people, by_films) = (signed(difference), test(*by_people), test(*by_films));
            let verdict = if comparison.is_significant() { "**significant**" } else { "" };
            writeln!(
                f,
                "| {measure} | {} - {} | {difference} | {by_people} | {by_films} | {verdict} |",
                cell(one),
                cell(other)
            )?;
        }
        writeln!(
            f,
            "\nBoth pieces of a difference were rated by the same person for the same film. p: Wilcoxon's signed-rank test (1945), \
             two-sided, of the mean differences of people, and again of films (Clark 1973), after Holm's correction (1979) for all \
             pairs of a measure; in brackets before it. A difference is significant if both are below 0.05 and 0 lies outside of the interval, which is cautious: what varies from rating to rating counts up to threefold (Owen 2007)."
        )?;
        writeln!(
            f,
            "\n## Agreement and power\n\n| | Krippendorff's alpha | deviation | pairs needed | deviation of people | people needed |\n|---|---|---|---|---|---|"
        )?;
        for (agreement, power) in self.agreement.iter().zip(&self.power) {
            let Power { deviation, pairs, deviation_of_people, people, .. } = power;
            let alpha = agreement.alpha.map_or("-".into(), |alpha| format!("{alpha:.2}"));
            writeln!(
                f,
                "| {} | {alpha} | {deviation:.2} | {pairs} | {deviation_of_people:.2} | {people} |",
                agreement.measure
            )?;
        }
        let difference = self.power.first().map_or(0.0, |power| power.difference);
        writeln!(
            f,
            "\nAlpha (interval scale): 1 where all agree, 0 as by chance. Needed: to find a difference of {difference} between two \
             systems four times in five at the level of 5 %, by the pair of systems that varies most. Pairs: ratings of both pieces by \
             one person for one film, if all were independent. People: each with as many films as here."
        )?;
        writeln!(f, "\n## Films\n\n| film | shown | skipped |\n|---|---|---|")?;
        for film in &self.skips {
            let share = if film.shown == 0 { 0.0 } else { 100.0 * film.skipped as f64 / film.shown as f64 };
            writeln!(f, "| {} | {} | {} ({share:.0} %) |", cell(&film.film), film.shown, film.skipped)?;
        }
        writeln!(f, "\nSkipped: \"I know this song or music video. Skip!\"")?;
        if !failed.is_empty() {
            writeln!(f, "\n## Left out\n\nAt least half of their attention checks are wrong.\n")?;
            for failed in failed {
                writeln!(
                    f,
                    "- rater {} ({}): {} of {} right",
                    failed.rater, failed.session, failed.right, failed.checks
                )?;
            }
        }
        for (heading, lines) in [("Files that were not used", &self.faults), ("Comments", &self.comments)] {
            if !lines.is_empty() {
                writeln!(f, "\n## {heading}\n")?;
                lines.iter().try_for_each(|line| writeln!(f, "- {}", cell(line)))?;
            }
        }
        Ok(())
    }
}

/// What was rated, as headings have it.
pub fn headings() -> [String; 2] {
    MEASURES.map(|measure| measure[..1].to_uppercase() + &measure[1..])
}
