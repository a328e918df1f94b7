//! `vmt-train study score`: answers become table 2.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use vmt_files::{Drafts, print, warn};

use crate::analysis::Report;
use crate::answers::{Collected, read_key};
use crate::call::{check_output, ensure};
use crate::plot;

/// Scores answers: the paper's table 2 with intervals and tests
///
/// Writes REPORT.md, and beside it the same as REPORT.json and a plot, REPORT.svg and REPORT.png: mean smoothness and relevance of each
/// system with 95 % intervals over people and films, paired tests, agreement, how often each film was skipped, who failed the
/// attention checks and is left out, and how many ratings a difference of 0.2 needs. Files that cannot be used are named, each with
/// its fault, and left out.
///
///   vmt-train study score answers/ --key study.key.json -o scores.md
#[derive(Debug, clap::Args)]
#[command(verbatim_doc_comment)]
pub struct ScoreArgs {
    /// Files of answers, or folders with them
    #[arg(required = true, value_name = "FILE")]
    answers: Vec<PathBuf>,
    /// The key that `study make` wrote
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The report to write
    #[arg(short, long, value_name = "REPORT.md")]
    out: PathBuf,
    /// Seed of the intervals
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

impl ScoreArgs {
    /// Scores.
    ///
    /// # Errors
    /// [`clap::Error`] for a wrong call; where no rating is left, or the report cannot be written.
    pub fn run(self) -> Result<()> {
        let out = &self.out;
        let is_markdown = out.extension().is_some_and(|end| end == "md");
        ensure(is_markdown, format!("{}: must end in .md, but does not", out.display()))?;
        let others = ["json", "svg", "png"].map(|extension| out.with_extension(extension));
        let inputs: Vec<_> = self.answers.iter().chain([&self.key]).map(PathBuf::as_path).collect();
        for path in [out].into_iter().chain(&others) {
            check_output(path, &inputs)?;
            // A report among the answers would be read as one the next time.
            let folder =
                self.answers.iter().find(|input| input.is_dir() && vmt_files::is_same(input, vmt_files::parent(path)));
            ensure(folder.is_none(), format!("{}: must not be in a folder of answers; name another", path.display()))?;
        }
        let key = read_key(&self.key)?;
        let Collected { answers, faults } = Collected::read(&self.answers, &key)?;
        faults.iter().for_each(warn);
        let read = answers.len();
        let report = Report::new(&key, &answers, faults, self.seed).with_context(|| {
            format!("there must be ratings of people who passed the checks, but of {read} sessions there are none")
        })?;
        let at = || out.display().to_string();
        let svg = plot::svg(&report);
        let [json, svg_path, png_path] = &others;
        let mut drafts = Drafts::default();
        let files: [(&PathBuf, Vec<u8>); 4] = [
            (out, report.to_string().into_bytes()),
            (json, (serde_json::to_string_pretty(&report)? + "\n").into_bytes()),
            (svg_path, svg.clone().into_bytes()),
            (png_path, vmt_render::png(&svg)?),
        ];
        for (path, bytes) in files {
            fs::write(drafts.of(path).with_context(at)?, bytes).with_context(at)?;
        }
        drafts.finish()?;
        for failed in &report.failed {
            let (rater, session, right, checks) = (failed.rater, &failed.session, failed.right, failed.checks);
            warn(format_args!("rater {rater} ({session}) is left out: {right} of {checks} attention checks are right"));
        }
        print(format_args!("{:24} {:22} {:22}", "", "smoothness", "relevance"))?;
        for system in &report.systems {
            let [smoothness, relevance] = [0, 1].map(|measure| {
                let score = &system.scores[measure];
                let interval = score.interval.map_or(String::new(), |[low, high]| format!("[{low:.2}, {high:.2}]"));
                format!("{:.2} {interval}", score.mean)
            });
            print(format_args!("{:24} {smoothness:22} {relevance:22}", system.system))?;
        }
        let (people, ratings) = (report.people, report.ratings);
        print(format_args!("{people} people, {ratings} ratings of each kind; wrote {}, .json, .svg and .png", at()))?;
        Ok(())
    }
}
