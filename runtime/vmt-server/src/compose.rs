//! What the server needs of the program that composes.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::problem::Problem;
use crate::stop::Stop;

/// Composes, and renders what was composed. Calls block, and come from many threads at once.
pub trait Compose: Send + Sync + 'static {
    /// What this is.
    fn about(&self) -> About;

    /// The options that a call may have.
    fn parameters(&self) -> Vec<Parameter>;

    /// Checks the options of a call as far as that needs no film.
    ///
    /// # Errors
    /// A [`Problem`] of the client.
    fn check(&self, call: &Call) -> Result<(), Problem>;

    /// Checks the film, without reading all of it; returns how long it is, if that is known.
    ///
    /// # Errors
    /// A [`Problem`] where it is no film, or one beyond the limits.
    fn inspect(&self, call: &Call, stop: &Stop) -> Result<Option<Duration>, Problem>;

    /// Composes all takes into [`Call::folder`], the best first, and calls `on_event` with each event; returns early where `stop` says so.
    ///
    /// # Errors
    /// A [`Problem`] where the film cannot be read on, or the model fails.
    fn compose(&self, call: &Call, stop: &Stop, on_event: &mut dyn FnMut(DecodedEvent)) -> Result<Composed, Problem>;

    /// Renders a take, counted from 1, as the file [`Call::music`] of this extension, one of [`FORMATS`](crate::FORMATS).
    ///
    /// # Errors
    /// A [`Problem`] where it cannot be.
    fn render(&self, call: &Call, take: usize, extension: &str, stop: &Stop) -> Result<(), Problem>;
}

/// What a call asks for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Call {
    /// Where its files are: the film and what is made of it.
    pub folder: PathBuf,
    /// Names and values of options, in the order in which they came; a flag's value is empty or `true`.
    pub options: Vec<(String, String)>,
    /// Options whose value is a file that came with the call.
    pub files: Vec<(String, PathBuf)>,
}

impl Call {
    /// The name of the film's file in the folder.
    pub const FILM: &str = "film";

    /// The film.
    pub fn film(&self) -> PathBuf {
        self.folder.join(Self::FILM)
    }

    /// The file of a take, counted from 1, with this extension.
    pub fn music(&self, take: usize, extension: &str) -> PathBuf {
        self.folder.join(music_name(take, extension))
    }

    /// Whether there is a film, and not raw frames.
    pub fn has_film(&self) -> bool {
        self.option("size").is_none()
    }

    /// The last value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The name of the file of a take, counted from 1, with this extension.
pub fn music_name(take: usize, extension: &str) -> String {
    if take == 1 { format!("music.{extension}") } else { format!("music.{take}.{extension}") }
}

/// What composes.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct About {
    /// Version of the program.
    pub version: String,
    /// Name of the model.
    pub model: String,
    /// What runs it, such as `ort (CPU)`.
    pub engine: String,
}

/// An option of a call.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Parameter {
    /// Its name in a query or form.
    pub name: String,
    /// What its value stands for; none for a flag.
    pub value: Option<String>,
    /// What it does.
    pub help: String,
    /// The group that it belongs to.
    pub group: String,
    /// Its value where the call has none.
    pub default: Option<String>,
    /// All values that it may have, if they can be listed.
    pub choices: Vec<String>,
    /// Whether it may come several times.
    pub repeatable: bool,
    /// Whether its value may be a file, as a part of a form.
    pub file: bool,
}

/// An event as it is decoded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct DecodedEvent {
    /// Number of the take as it is decoded, from 0; not its rank.
    pub lane: usize,
    /// Seconds of music, from the beginning of the part that is composed for.
    pub time: f64,
    /// The note's beginning with its velocity, or its end; none for events that are no notes.
    pub note: Option<(u8, Option<u8>)>,
}

/// What was composed.
#[derive(Clone, Debug, Default)]
pub struct Composed {
    /// The best first.
    pub takes: Vec<Take>,
    /// How long each stage of the work took.
    pub stages: Vec<(&'static str, Duration)>,
}

/// A take that was composed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Take {
    /// How many notes it has.
    pub notes: usize,
    /// How long it is, in seconds.
    pub duration: f64,
    /// What takes are ranked by, the higher the better.
    pub score: f64,
}
