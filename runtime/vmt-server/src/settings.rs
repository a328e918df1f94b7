//! How the server is to run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use utoipa::ToSchema;

/// How the server is to run.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen; port 0 is any that is free.
    pub listen: SocketAddr,
    /// Where jobs are kept, so that those that were done are there after a restart; a scratch folder where `None`.
    pub folder: Option<PathBuf>,
    /// Jobs at once.
    pub jobs: usize,
    /// Jobs that wait, those whose film is still on its way included.
    pub queue: usize,
    /// Jobs at once and in the queue that one address may have.
    pub per_client: usize,
    /// What a call may have.
    pub limits: Limits,
    /// How long an answer waits for its job before it is the job itself.
    pub wait: Duration,
    /// How long a body may take to come.
    pub body: Duration,
    /// How long the head of a request may take to come.
    pub header: Duration,
    /// Connections at once.
    pub connections: usize,
    /// The most bytes of all jobs' files.
    pub disk: u64,
    /// How long running jobs have where the server is to end.
    pub grace: Duration,
    /// The tokens that clients must have one of, where it wants any.
    pub tokens: Option<Vec<String>>,
    /// Sites whose pages may call, such as `https://example.org`.
    pub origins: Vec<String>,
    /// How requests are logged on standard error.
    pub log: Log,
}

/// What a call may have.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Limits {
    /// Bytes of a request.
    pub bytes: u64,
    /// Seconds of a film.
    pub seconds: u64,
    /// Pixels of a frame.
    pub pixels: u64,
    /// Frames a second.
    pub frames_per_second: u32,
    /// Takes.
    pub takes: usize,
    /// Seconds of work.
    pub job_seconds: u64,
    /// Seconds for which results are kept.
    pub keep_seconds: u64,
}

/// How requests are logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Not at all.
    Off,
    /// As text.
    Text,
    /// As JSON, a line each.
    Json,
}
