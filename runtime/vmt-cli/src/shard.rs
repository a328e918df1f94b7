//! Which part of a folder's films is this process's.

use std::str::FromStr;

use anyhow::{Context, Result, ensure};

/// One of so many parts, as even as they can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: usize,
    count: usize,
}

impl Shard {
    /// Whether the item at this place of a list is in it.
    pub fn holds(self, place: usize) -> bool {
        place % self.count == self.index
    }

    /// What the environment of an indexed Kubernetes job or a Slurm array says, if it is one; `count` shards, if given.
    pub fn from_environment(count: Option<usize>, variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>> {
        let number = |name: &str| {
            let parse = |text: String| {
                text.parse::<usize>().with_context(|| format!("{name} must be a number, but is {text:?}"))
            };
            variable(name).map(parse).transpose()
        };
        let (index, said, hint) = if let Some(index) = number("JOB_COMPLETION_INDEX")? {
            (
                index,
                number("JOB_COMPLETIONS")?,
                "JOB_COMPLETION_INDEX is set: give --shards N too, or set JOB_COMPLETIONS",
            )
        } else if let Some(id) = number("SLURM_ARRAY_TASK_ID")? {
            // An array may begin at any number, and go on in steps.
            let (first, step) = (number("SLURM_ARRAY_TASK_MIN")?, number("SLURM_ARRAY_TASK_STEP")?);
            let index = id.saturating_sub(first.unwrap_or(0)) / step.unwrap_or(1).max(1);
            (index, number("SLURM_ARRAY_TASK_COUNT")?, "SLURM_ARRAY_TASK_ID is set: give --shards N too")
        } else {
            ensure!(
                count.is_none(),
                "--shards needs JOB_COMPLETION_INDEX or SLURM_ARRAY_TASK_ID to say which; or give --shard I/N"
            );
            return Ok(None);
        };
        let count = count.or(said).context(hint)?;
        ensure!(index < count, "this process's index is {index}, counted from 0, but there are {count} shards");
        Ok(Some(Self { index, count }))
    }
}

/// `1/3`, `2/3` and `3/3`.
impl FromStr for Shard {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || {
            let (number, count) = text.split_once('/')?;
            let (number, count): (usize, usize) = (number.parse().ok()?, count.parse().ok()?);
            (1..=count).contains(&number).then(|| Self { index: number - 1, count })
        };
        parse().context("it must be I/N, from 1/N to N/N")
    }
}

/// As it is written.
impl std::fmt::Display for Shard {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_one_shard() {
        for count in 1..6 {
            let shards: Vec<Shard> = (1..=count).map(|index| format!("{index}/{count}").parse().unwrap()).collect();
            for place in 0..20 {
                assert_eq!(shards.iter().filter(|shard| shard.holds(place)).count(), 1);
            }
        }
        for text in ["", "1", "0/3", "4/3", "1/0", "a/3", "-1/3", "1/3/3"] {
            assert!(text.parse::<Shard>().is_err(), "{text}");
        }
    }

    /// `variables` is a list of `NAME=value`.
    fn find(count: Option<usize>, variables: &str) -> Result<Option<Shard>> {
        let variables: Vec<(&str, &str)> =
            variables.split_whitespace().map(|one| one.split_once('=').unwrap()).collect();
        Shard::from_environment(count, |name| {
            variables.iter().find(|(known, _)| *known == name).map(|&(_, value)| value.to_owned())
        })
    }

    #[test]
    fn kubernetes_and_slurm_say_which() {
        let check = |count, variables, want: &str| {
            assert_eq!(find(count, variables).unwrap(), Some(want.parse().unwrap()), "{variables}");
        };
        check(Some(5), "JOB_COMPLETION_INDEX=0", "1/5");
        check(None, "JOB_COMPLETION_INDEX=4 JOB_COMPLETIONS=5", "5/5");
        check(Some(6), "JOB_COMPLETION_INDEX=4 JOB_COMPLETIONS=5", "5/6");
        check(None, "SLURM_ARRAY_TASK_ID=0 SLURM_ARRAY_TASK_COUNT=3", "1/3");
        check(None, "SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_COUNT=3", "3/3");
        check(
            None,
            "SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_STEP=4 SLURM_ARRAY_TASK_COUNT=3",
            "3/3",
        );
        assert_eq!(find(None, "").unwrap(), None);
    }

    #[test]
    fn half_of_it_is_refused() {
        let refused = |count, variables, want: &str| {
            let error = find(count, variables).unwrap_err().to_string();
            assert!(error.contains(want), "{error}");
        };
        refused(None, "JOB_COMPLETION_INDEX=0", "give --shards N too");
        refused(None, "SLURM_ARRAY_TASK_ID=0", "give --shards N too");
        refused(Some(3), "", "--shards needs JOB_COMPLETION_INDEX");
        refused(Some(3), "JOB_COMPLETION_INDEX=3", "index is 3, counted from 0, but there are 3 shards");
        refused(Some(3), "JOB_COMPLETION_INDEX=x", "JOB_COMPLETION_INDEX must be a number, but is \"x\"");
    }
}
