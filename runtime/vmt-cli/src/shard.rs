//! Which of a folder's films this process composes for, where several share them.

use std::fmt::{self, Display, Formatter};

use anyhow::Result;

use crate::usage;

/// Several processes for one folder
#[derive(clap::Args)]
#[command(next_help_heading = "Folders")]
pub struct ShardArgs {
    /// Of a folder's films, compose only for every Nth, from the Ith on; or only I, with --shards N
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
    /// How many shards there are, where --shard does not tell
    #[arg(long, value_name = "N", requires = "shard")]
    shards: Option<usize>,
}

/// One of so many parts, as even as they can be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// From 0.
    index: usize,
    count: usize,
}

impl ShardArgs {
    /// The shard that the call names.
    pub fn shard(&self) -> Result<Option<Shard>> {
        self.shard.as_deref().map(|shard| Shard::new(shard, self.shards)).transpose()
    }
}

impl Shard {
    /// `I/N`, or `I` of `count`, where I is 1 to N.
    fn new(text: &str, count: Option<usize>) -> Result<Self> {
        let parse = || {
            let (number, count) = match (text.split_once('/'), count) {
                (Some((number, count)), None) => (number, count.parse().ok()?),
                (None, Some(count)) => (text, count),
                _ => return None,
            };
            let number: usize = number.parse().ok()?;
            (1..=count).contains(&number).then(|| Self { index: number - 1, count })
        };
        parse().ok_or_else(|| {
            let count = count.map(|count| format!(" --shards {count}")).unwrap_or_default();
            let want = "--shard must be I/N, or I with --shards N, where I is 1 to N";
            usage::wrong(format!("{want}, but is {text}{count}")).into()
        })
    }

    /// Whether the item at this place of a list is in it.
    #[cfg(any(feature = "video", test))]
    pub fn holds(self, place: usize) -> bool {
        place % self.count == self.index
    }
}

/// As it is written.
impl Display for Shard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.index + 1, self.count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_place_is_in_one_shard() {
        for count in 1..6 {
            let shards: Vec<Shard> =
                (1..=count).map(|index| Shard::new(&format!("{index}/{count}"), None).unwrap()).collect();
            for place in 0..20 {
                assert_eq!(shards.iter().filter(|shard| shard.holds(place)).count(), 1);
            }
        }
        assert_eq!(Shard::new("2", Some(3)).unwrap(), Shard::new("2/3", None).unwrap());
    }

    #[test]
    fn what_is_no_shard() {
        let many = ["", "1", "0/3", "4/3", "1/0", "a/3", "-1/3", "1/3/3"].map(|text| (text, None));
        let others = [("0", Some(3)), ("4", Some(3)), ("1/3", Some(3)), ("1", Some(0))];
        for (text, count) in many.into_iter().chain(others) {
            let error = Shard::new(text, count).unwrap_err().to_string();
            assert!(error.contains("where I is 1 to N, but is"), "{error}");
        }
    }
}
