//! `vmt compose`: from a film, a folder of films or a record to music.

use std::path::PathBuf;

use anyhow::{Context, Result};
use clap::Arg;

#[cfg(feature = "video")]
use crate::folder;
use crate::generation::GenerationArgs;
use crate::input::InputArgs;
use crate::outputs::OutputArgs;
use crate::pipeline::{Pipeline, Progress};
use crate::shard::ShardArgs;
use crate::{event_lines, plan, rerender, summary, usage};

/// Composes piano music for a video
///
/// The music is as long as the video. A video longer than the model's window (10 s) is one piece, composed in windows
/// that overlap. The same bundle, video, seed and options give the same file again.
///
/// A folder instead of a video stands for the videos in it, without subfolders: -o names a folder too, and FILM.mp4
/// becomes FILM.mid there. A film whose files exist and are not older is skipped; delete them to compose again. A film
/// that cannot be read does not stop the others; a table at the end tells how each of them went.
#[derive(clap::Args)]
#[command(mut_args = beside_from)]
pub struct ComposeArgs {
    #[command(flatten)]
    pub input: InputArgs,
    /// Write files again from the .json of an earlier call: the notes are the same, so no option that changes them goes
    /// with it. The film is needed for .mp4, .mkv and --thumbnails only; name it too if it has moved
    #[arg(long, value_name = "FILE.json")]
    from: Option<PathBuf>,
    #[command(flatten)]
    pub outputs: OutputArgs,
    #[command(flatten)]
    shards: ShardArgs,
    #[command(flatten)]
    pub generation: GenerationArgs,
}

impl ComposeArgs {
    pub fn run(self) -> Result<()> {
        let Self { input, from, outputs, shards, generation } = &self;
        if let Some(record) = from {
            return rerender::run(record, input.film(), outputs);
        }
        let shard = shards.shard()?;
        #[cfg(feature = "video")]
        if let Some(films) = input.folder() {
            usage::ensure(!outputs.plan, "--plan is for one film")?;
            return folder::run(films, shard, input, outputs, generation);
        }
        usage::ensure(shard.is_none(), "--shard and --shards are for a folder of films, and this is one film")?;
        let film = input.film().context("a video or --frames is needed")?;
        if outputs.plan {
            return plan::run(input, &film, generation);
        }
        let prepared = outputs.check(&film, input.range()?.start, &generation.inputs())?;
        let (model, options) = generation.load(outputs.snap)?;
        let pipeline = Pipeline::new(input, outputs, generation, &model, options)?;
        let (mut progress, mut events) = (Progress::default(), outputs.events);
        let composed = pipeline.compose(film, outputs, &prepared, |played, length| {
            if events && let Err(error) = event_lines::print(played) {
                // Files that were asked for are written, although nobody reads the events any more.
                events = false;
                if outputs.paths().is_empty() || !vmt_files::is_closed_output(&error) {
                    return Err(error);
                }
            }
            progress.heard(played, length)
        })?;
        drop(progress);
        summary::print(outputs, &composed, &pipeline)
    }
}

/// Lets an option go with --from only if it says where the film is or what to write.
fn beside_from(arg: Arg) -> Arg {
    const ALLOWED: [&str; 11] = [
        "from",
        "video",
        "frames",
        "fps",
        "output",
        "hands",
        "soundfont",
        "original_volume",
        "thumbnails",
        "quiet",
        "verbose",
    ];
    if ALLOWED.contains(&arg.get_id().as_str()) { arg } else { arg.conflicts_with("from") }
}
