//! Listening studies of music for film (the paper's section 4.2), and case studies (section 4.3): `vmt-train study` and
//! `vmt-train case-study`. Nothing here knows burn: models are bundles.
//!
//! | module | what is there |
//! |---|---|
//! | [`design`] | who hears what in which order |
//! | [`formats`] | the page's data, the key, the answers |
//! | [`loudness`] | equal loudness, beeps |
//! | [`sources`], [`model`] | films and systems, and bundles that compose for films |
//! | [`make`] | the folder with the page |
//! | [`serve`] | the collector |
//! | [`answers`], [`analysis`], [`report`], [`plot`], [`score`] | from files of answers to table 2 |
//! | [`simulation`] | raters whose preferences are known |
//! | [`case_study`] | the paper's figure 4 |

pub mod analysis;
pub mod answers;
mod call;
pub mod case_study;
pub mod design;
pub mod formats;
pub mod loudness;
pub mod make;
pub mod model;
pub mod plot;
pub mod report;
pub mod score;
pub mod serve;
pub mod simulation;
pub mod sources;

use anyhow::Result;

pub use case_study::CaseStudyArgs;

/// Makes, serves and scores a listening study, as in the paper's section 4.2
///
/// People rate the pieces of several systems for the same films, without knowing which is whose. `make` writes a folder with one page for
/// that, `serve` hands the page out and collects answers, and `score` makes the paper's table 2 of them. docs/study.md says how to run
/// a study well.
#[derive(Debug, clap::Args)]
pub struct StudyArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Make(make::MakeArgs),
    Serve(serve::ServeArgs),
    Score(score::ScoreArgs),
}

impl StudyArgs {
    /// Does it.
    ///
    /// # Errors
    /// [`clap::Error`] for a wrong call; where what it reads is wrong, or what it writes cannot be written.
    pub fn run(self) -> Result<()> {
        match self.command {
            Command::Make(args) => args.run(),
            Command::Serve(args) => args.run(),
            Command::Score(args) => args.run(),
        }
    }
}
