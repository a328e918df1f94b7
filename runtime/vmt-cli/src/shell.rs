//! `vmt completions` and `vmt man`: what a package of this program installs beside it.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::{Args, usage};

/// Prints a shell's completions of this command
#[derive(clap::Args)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

/// Prints the manual page of this command, in roff
#[derive(clap::Args)]
pub struct Man {
    /// The command whose page it is, such as compose [default: vmt itself]
    command: Option<String>,
}

impl Completions {
    pub fn run(self) -> Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Args::command(), "vmt", &mut script);
        Ok(vmt_files::print_bytes(&script)?)
    }
}

impl Man {
    pub fn run(self) -> Result<()> {
        let mut command = Args::command();
        command.build();
        if let Some(name) = &self.command {
            let known = command.find_subcommand(name).cloned();
            command = known.ok_or_else(|| usage::wrong(format!("{name} is no command of vmt")))?;
        }
        let mut page = Vec::new();
        clap_mangen::Man::new(command).render(&mut page)?;
        Ok(vmt_files::print_bytes(&page)?)
    }
}
