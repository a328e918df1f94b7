//! Processes that read films of strangers: with limits of memory, time and files, no network, and one folder to write in.
//!
//! The server starts `vmt sandbox`, which gives up its rights before it opens the film, and then is any other command of
//! `vmt`. What holds depends on the system: limits everywhere; Landlock (Linux 5.13) and seccomp on Linux.

use std::env;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;

use anyhow::{Context, Result, anyhow};
use nix::sys::resource::{Resource, setrlimit};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use vmt::{Geometry, Window};
use vmt_files::warn;
use vmt_server::{Problem, Running, Stop};

use crate::read_film::{FilmLimits, Metadata, Reading};
use crate::window_stream;

/// What a sandboxed process may use.
#[derive(Clone, Serialize, Deserialize)]
pub struct Bounds {
    /// Bytes of address space.
    pub memory: u64,
    /// Seconds of processor time.
    pub seconds: u64,
    /// Bytes of a file that it writes.
    pub file: u64,
}

/// Another command of this program, in a sandbox
#[derive(clap::Args)]
pub struct SandboxArgs {
    /// What it may use, as JSON
    bounds: String,
    /// The command
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, required = true)]
    command: Vec<OsString>,
}

impl SandboxArgs {
    pub fn run(self) -> Result<()> {
        let bounds: Bounds = serde_json::from_str(&self.bounds)?;
        restrict(&bounds)?;
        crate::execute(["vmt".into()].into_iter().chain(self.command))
    }
}

/// Gives up what a reader of films does not need.
fn restrict(bounds: &Bounds) -> Result<()> {
    let limits = [
        (Resource::RLIMIT_AS, bounds.memory),
        (Resource::RLIMIT_CPU, bounds.seconds),
        (Resource::RLIMIT_FSIZE, bounds.file),
        (Resource::RLIMIT_CORE, 0),
        (Resource::RLIMIT_NOFILE, 64),
    ];
    for (resource, most) in limits {
        setrlimit(resource, most, most).with_context(|| format!("{resource:?}"))?;
    }
    #[cfg(target_os = "linux")]
    linux::restrict()?;
    Ok(())
}

/// What holds on this system besides limits, in words.
pub fn layers() -> &'static str {
    #[cfg(target_os = "linux")]
    return linux::layers();
    #[cfg(not(target_os = "linux"))]
    "limits of memory and time"
}

#[cfg(target_os = "linux")]
mod linux {
    use std::collections::BTreeMap;
    use std::env;
    use std::path::PathBuf;

    use anyhow::{Context, Result};
    use landlock::{
        ABI, Access, AccessFs, AccessNet, CompatLevel, Compatible, Ruleset, RulesetAttr, RulesetCreatedAttr,
        RulesetStatus, path_beneath_rules,
    };
    use nix::sys::prctl::set_pdeathsig;
    use nix::sys::signal::Signal;
    use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, TargetArch};

    const VERSION: ABI = ABI::V5;

    /// System calls that no reader of films needs: network, other processes, the kernel's own matters.
    const DENIED: [i64; 37] = [
        libc::SYS_socket,
        libc::SYS_socketpair,
        libc::SYS_connect,
        libc::SYS_bind,
        libc::SYS_listen,
        libc::SYS_accept,
        libc::SYS_accept4,
        libc::SYS_ptrace,
        libc::SYS_process_vm_readv,
        libc::SYS_process_vm_writev,
        libc::SYS_kill,
        libc::SYS_tkill,
        libc::SYS_pidfd_send_signal,
        libc::SYS_pidfd_getfd,
        libc::SYS_io_uring_setup,
        libc::SYS_io_uring_enter,
        libc::SYS_io_uring_register,
        libc::SYS_bpf,
        libc::SYS_perf_event_open,
        libc::SYS_userfaultfd,
        libc::SYS_mount,
        libc::SYS_umount2,
        libc::SYS_move_mount,
        libc::SYS_fsopen,
        libc::SYS_pivot_root,
        libc::SYS_chroot,
        libc::SYS_unshare,
        libc::SYS_setns,
        libc::SYS_add_key,
        libc::SYS_request_key,
        libc::SYS_keyctl,
        libc::SYS_kexec_load,
        libc::SYS_init_module,
        libc::SYS_finit_module,
        libc::SYS_delete_module,
        libc::SYS_reboot,
        libc::SYS_swapon,
    ];

    pub fn restrict() -> Result<()> {
        // With the server, even if that is killed.
        set_pdeathsig(Signal::SIGKILL)?;
        restrict_files()?;
        let architecture = TargetArch::try_from(env::consts::ARCH);
        // On others there is no filter.
        if let Ok(architecture) = architecture {
            let rules: BTreeMap<_, _> = DENIED.into_iter().map(|call| (call, Vec::new())).collect();
            let denied = SeccompAction::Errno(libc::EPERM as u32);
            let filter = SeccompFilter::new(rules, SeccompAction::Allow, denied, architecture)?;
            seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)?;
        }
        Ok(())
    }

    /// Programs and libraries may be read and run, the folder that it is in may be written, and nothing else be opened.
    fn restrict_files() -> Result<RulesetStatus> {
        let here = env::current_dir().context("its folder")?;
        let variable = |name| env::var_os(name).unwrap_or_default();
        let lists = [variable("PATH"), variable("LD_LIBRARY_PATH")];
        let listed = lists.iter().flat_map(env::split_paths);
        let program = env::current_exe().ok().into_iter();
        let system = [
            "/usr",
            "/lib",
            "/lib64",
            "/bin",
            "/opt",
            "/nix",
            "/etc/ld.so.cache",
            "/etc/alternatives",
            "/sys/devices/system/cpu",
        ];
        let system = system.into_iter().map(PathBuf::from).chain(listed).chain(program).filter(|path| path.exists());
        let read = AccessFs::from_read(VERSION);
        // The process's own streams, and its memory map.
        let streams = ["/dev/null", "/dev/urandom", "/proc/self", "/proc/cpuinfo", "/proc/meminfo"];
        let restricted = Ruleset::default()
            .set_compatibility(CompatLevel::BestEffort)
            .handle_access(AccessFs::from_all(VERSION))?
            .handle_access(AccessNet::from_all(VERSION))?
            .create()?
            .add_rules(path_beneath_rules(system, read))?
            .add_rules(path_beneath_rules(streams, AccessFs::from_all(VERSION)))?
            .add_rules(path_beneath_rules([here], AccessFs::from_all(VERSION) & !AccessFs::Execute))?
            .restrict_self()?;
        Ok(restricted.ruleset)
    }

    pub fn layers() -> &'static str {
        // On a thread of its own: the rules hold for that and what it starts.
        match std::thread::spawn(restrict_files).join() {
            Ok(Ok(RulesetStatus::FullyEnforced)) => "limits of memory and time, Landlock, seccomp",
            Ok(Ok(RulesetStatus::PartiallyEnforced)) => "limits of memory and time, Landlock in part, seccomp",
            _ => "limits of memory and time, seccomp; this kernel has no Landlock",
        }
    }
}

/// Starts sandboxed processes in a folder.
#[derive(Clone)]
pub struct Sandbox {
    pub folder: PathBuf,
    pub bounds: Bounds,
    pub limits: FilmLimits,
    pub stop: Stop,
    /// The file in the folder that is standard input.
    pub input: Option<&'static str>,
}

impl Sandbox {
    /// What a reader of the film says.
    pub fn ask<T: DeserializeOwned>(&self, reading: &Reading) -> Result<T> {
        let answer = self.run(self.reader(reading)?)?;
        serde_json::from_slice(&answer).context("what reads the film")
    }

    /// What is known of a film, and its windows as they are read, which begin `hop` pictures apart.
    pub fn windows(
        &self,
        reading: &Reading,
        geometry: Geometry,
        hop: usize,
    ) -> Result<(Metadata, impl Iterator<Item = Result<Window>> + use<>)> {
        let mut child = self.start(self.reader(reading)?)?;
        let mut pipe = BufReader::new(child.pipe.take().context("it has no standard output")?);
        let mut line = String::new();
        pipe.read_line(&mut line)?;
        if line.is_empty() {
            child.finish()?;
            anyhow::bail!("what reads the film said nothing");
        }
        let metadata = serde_json::from_str(&line)?;
        let windows = window_stream::read(pipe, geometry, hop, || child.finish());
        Ok((metadata, windows))
    }

    /// Runs another command of this program in the folder.
    pub fn vmt(&self, arguments: &[OsString]) -> Result<()> {
        let mut command = self.command()?;
        command.args(arguments);
        self.run(command).map(|_| ())
    }

    fn reader(&self, reading: &Reading) -> Result<Command> {
        let mut command = self.command()?;
        command.args(["read-film", &serde_json::to_string(reading)?, &serde_json::to_string(&self.limits)?]);
        Ok(command)
    }

    fn command(&self) -> Result<Command> {
        let mut command = Command::new(env::current_exe()?);
        command.args(["sandbox", &serde_json::to_string(&self.bounds)?]);
        command.current_dir(&self.folder).env_clear();
        for name in ["PATH", "LD_LIBRARY_PATH"] {
            command.envs(env::var_os(name).map(|value| (name, value)));
        }
        let input = match self.input {
            Some(name) => std::fs::File::open(self.folder.join(name))?.into(),
            None => Stdio::null(),
        };
        command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped());
        Ok(command)
    }

    fn run(&self, command: Command) -> Result<Vec<u8>> {
        let mut child = self.start(command)?;
        let mut answer = Vec::new();
        child.pipe.take().context("it has no standard output")?.read_to_end(&mut answer)?;
        child.finish()?;
        Ok(answer)
    }

    fn start(&self, mut command: Command) -> Result<SandboxedChild> {
        let running = self.stop.spawn(&mut command).map_err(|error| match error.kind() {
            io::ErrorKind::Interrupted => anyhow!("the work was stopped"),
            _ => SpawnError(error).into(),
        })?;
        let pipe = running.child().stdout.take();
        let errors = running.child().stderr.take();
        let (sender, said) = mpsc::channel();
        thread::spawn(move || {
            let mut text = String::new();
            if let Some(errors) = errors {
                let mut errors = errors.take(1 << 16);
                let _ = errors.read_to_string(&mut text);
                // What is more goes nowhere, so that the process does not wait for its reader.
                let _ = io::copy(&mut errors.into_inner(), &mut io::sink());
            }
            let _ = sender.send(text);
        });
        Ok(SandboxedChild { running, pipe, said, bounds: self.bounds.clone() })
    }
}

/// No process could be started.
#[derive(Debug)]
pub struct SpawnError(pub io::Error);

impl std::fmt::Display for SpawnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "no process can be started: {}", self.0)
    }
}

impl std::error::Error for SpawnError {}

/// What a sandboxed process said was wrong.
#[derive(Debug)]
pub struct ChildError {
    pub message: String,
    /// Whether its call was wrong.
    pub usage: bool,
    /// Seconds of processor time, if it wanted more than these.
    pub late: Option<u64>,
}

impl std::fmt::Display for ChildError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ChildError {}

struct SandboxedChild {
    running: Running,
    pipe: Option<std::process::ChildStdout>,
    said: mpsc::Receiver<String>,
    bounds: Bounds,
}

impl SandboxedChild {
    fn finish(self) -> Result<()> {
        let status = self.running.wait()?;
        let said = self.said.recv().unwrap_or_default();
        if status.success() {
            return Ok(());
        }
        let text = said.trim().trim_start_matches("vmt: ").trim_start_matches("error: ");
        let late = matches!(status.signal(), Some(libc::SIGXCPU | libc::SIGKILL)).then_some(self.bounds.seconds);
        Err(ChildError { message: self.fault(status, text), usage: status.code() == Some(2), late }.into())
    }

    fn fault(&self, status: ExitStatus, text: &str) -> String {
        let Bounds { memory, seconds, file } = self.bounds;
        match status.signal() {
            None if !text.is_empty() => text.to_owned(),
            Some(libc::SIGXCPU | libc::SIGKILL) => format!("to read it takes over {seconds} s of processor time"),
            Some(libc::SIGXFSZ) => format!("a file of it would have over {file} bytes"),
            Some(libc::SIGABRT | libc::SIGSEGV | libc::SIGBUS) if text.is_empty() || text.contains("memory") => {
                format!("to read it takes over {} MiB of memory, or it breaks what reads it", memory >> 20)
            }
            _ => format!("what reads it ended without a word ({status})"),
        }
    }
}

/// The problem that an error is, for the client: what is wrong with its options and files, unless it is the server's own fault.
pub fn problem(error: &anyhow::Error) -> Problem {
    if let Some(SpawnError(error)) = error.downcast_ref() {
        return Problem::no_process(error);
    }
    if let Some(ChildError { message, usage, late }) = error.downcast_ref() {
        // Of one limit, whether processor or clock reaches it first.
        if let Some(seconds) = late {
            return Problem::late(*seconds);
        }
        if message.contains("No space left on device") || message.contains("os error 28") {
            return Problem::no_space("the server's disk is full");
        }
        if *usage {
            return Problem::bad_option(message);
        }
        // As it is called in the job's folder.
        let of_film = message.strip_prefix("film: ").map(|what| format!("the film {what}"));
        return Problem::film(of_film.as_ref().unwrap_or(message));
    }
    if let Some(wrong) = error.downcast_ref::<clap::Error>() {
        let text = wrong.to_string();
        return Problem::bad_option(text.trim().trim_start_matches("error: ").lines().next().unwrap_or_default());
    }
    let text = format!("{error:#}");
    if let Some(error) = error.chain().find_map(|cause| cause.downcast_ref::<vmt::Error>()) {
        use vmt::Error::{Markers, Midi, Option};
        let of_client = matches!(error, Midi(_) | Markers { .. } | Option { .. });
        return if of_client { Problem::bad_option(text) } else { Problem::internal(text) };
    }
    match error.chain().find_map(|cause| cause.downcast_ref::<io::Error>()) {
        // A file that should be text.
        Some(error) if error.kind() == io::ErrorKind::InvalidData => Problem::bad_option(text),
        Some(error) => Problem::of_writing(error),
        None if error.is::<serde_json::Error>() => Problem::internal(text),
        None => Problem::bad_option(text),
    }
}

/// Says once what the sandbox of films' readers is made of.
pub fn announce() {
    warn(format_args!("films are read in processes of their own: {}", layers()));
}
