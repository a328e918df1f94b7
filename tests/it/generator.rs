//! The decode loop: lanes, and logits that are none.

use ndarray::Array1;
use vmt::decode::{Generator, Grammar, Lane, LogitsProcessor, Unconstrained};
use vmt::{Engine, Error, Options, Sampling, Token, VOCABULARY};

use crate::scripted::{Scripted, clip, compose, greedy, random, scripted};

/// What a lane is kept to.
#[derive(Clone, Copy)]
enum Rule {
    Grammar(u32),
    Raw(usize),
}

impl Rule {
    fn lane(&self) -> Lane {
        let processor: Box<dyn LogitsProcessor> = match *self {
            Self::Grammar(steps) => Box::new(Grammar::new(steps, 1024).unwrap()),
            Self::Raw(max_tokens) => Box::new(Unconstrained::new(max_tokens)),
        };
        Lane::new(Vec::new(), vec![processor])
    }
}

/// The tokens of each lane, one lane for each of `colours`.
fn lanes(model: &Scripted, colours: &[u8], sampling: &Sampling, rules: &[Rule]) -> Vec<Vec<Token>> {
    let clips: Vec<_> = colours.iter().copied().map(clip).collect();
    let mut tokens = vec![Vec::new(); clips.len()];
    let lanes = rules.iter().map(Rule::lane).collect();
    for step in Generator::new(model.open(&clips).unwrap(), *sampling, 0, lanes) {
        let step = step.unwrap();
        assert_eq!(step.len(), tokens.len());
        for (lane, sampled) in tokens.iter_mut().zip(step) {
            assert!(sampled.is_none() || lane.last() != Some(&Token::END), "nothing follows END");
            lane.extend(sampled.map(|sampled| sampled.token));
        }
    }
    tokens
}

#[test]
fn lanes_are_one_by_one() {
    let model = random(5, 2.0);
    let rules = [Rule::Grammar(300), Rule::Raw(40), Rule::Grammar(1000)];
    // Where nothing is drawn, the number of the lane does not matter.
    let together = lanes(&model, &[1, 2, 3], &greedy(), &rules);
    for (index, rules) in rules.iter().enumerate() {
        let alone = lanes(&model, &[index as u8 + 1], &greedy(), std::slice::from_ref(rules));
        assert_eq!(together[index], alone[0]);
    }
    // Where it is drawn, what a lane draws depends on its place, but not on who is beside it.
    let drawn = Sampling::default().with_seed(9);
    let together = lanes(&model, &[1, 2, 3], &drawn, &rules);
    assert_eq!(together[..1], lanes(&model, &[1], &drawn, &rules[..1]));
    assert_eq!(together[..2], lanes(&model, &[1, 2], &drawn, &rules[..2]));
    let other = lanes(&model, &[7, 8, 3], &drawn, &[Rule::Raw(1), Rule::Grammar(50), Rule::Grammar(1000)]);
    assert_eq!(together[2], other[2]);
}

#[test]
fn lanes_of_one_clip_differ() {
    let tokens = lanes(&random(5, 1.0), &[1, 1, 1], &Sampling::default(), &[Rule::Grammar(300); 3]);
    assert!(tokens[0] != tokens[1] && tokens[1] != tokens[2] && tokens[0] != tokens[2]);
}

#[test]
fn logits_that_are_no_numbers_are_errors() {
    for (value, token) in [(f32::NAN, 17), (f32::INFINITY, 309)] {
        let broken = |colour, at| {
            scripted(move |lane, step| {
                let mut logits = Array1::zeros(VOCABULARY);
                if (lane, step) == (colour, at) {
                    logits[token] = value;
                }
                Ok(logits)
            })
        };
        let model = broken(2, 3);
        let session = model.open(&[clip(1), clip(2)]).unwrap();
        let lanes = [Rule::Raw(100), Rule::Grammar(300)].iter().map(Rule::lane).collect();
        let mut steps = Generator::new(session, greedy(), 0, lanes);
        for _ in 0..3 {
            assert!(steps.next().unwrap().is_ok());
        }
        let error = steps.next().unwrap().unwrap_err();
        assert!(matches!(error, Error::Logits { lane: 1, token: t, .. } if t == token), "{error}");
        assert!(steps.next().is_none(), "an error is the last step");

        let error = compose(broken(1, 2), 1024, 20_000, &Options::default()).unwrap_err();
        let want = format!("the model gave {value} as the logit of token {token} in lane 0");
        assert!(error.to_string().starts_with(&want), "{error}");
    }
}

#[test]
fn a_model_that_rules_out_all_that_may_follow_is_an_error() {
    // It wants nothing but an end, which may not come yet.
    let stubborn = scripted(|_, _| {
        let mut logits = Array1::from_elem(VOCABULARY, f32::NEG_INFINITY);
        logits[Token::END.index()] = 0.0;
        Ok(logits)
    });
    let error = compose(stubborn, 1024, 5_000, &Options::default()).unwrap_err();
    let want = "no token can follow in lane 0: the model gave minus infinity to all that may";
    assert_eq!(error.to_string(), want);
}
