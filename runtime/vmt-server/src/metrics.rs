//! What Prometheus is told.

use std::fmt;
use std::sync::Mutex;
use std::time::Duration;

use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use crate::jobs::{Jobs, State};
use crate::stop::lock;

/// Bounds of histograms, in seconds.
const SECONDS: [f64; 12] = [0.01, 0.03, 0.1, 0.3, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 300.0];

/// Counters of a server.
pub struct Metrics {
    registry: Registry,
    requests: Family<Request, Counter>,
    seconds: Family<Route, Histogram>,
    stages: Family<Stage, Histogram>,
    jobs: Family<StateLabel, Counter>,
    now: Family<StateLabel, Gauge>,
    events: Counter,
    lanes: Gauge,
    disk: Gauge,
    memory: Gauge,
    pub connections: Gauge,
    /// A moving average of the seconds of a job.
    usual: Mutex<f64>,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Request {
    route: String,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Stage {
    stage: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct StateLabel {
    state: State,
}

impl EncodeLabelValue for State {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> Result<(), fmt::Error> {
        self.name().encode(encoder)
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let histogram = || Histogram::new(SECONDS);
        let metrics = Self {
            registry: Registry::with_prefix("vmt"),
            requests: Family::default(),
            seconds: Family::new_with_constructor(histogram),
            stages: Family::new_with_constructor(histogram),
            jobs: Family::default(),
            now: Family::default(),
            events: Counter::default(),
            lanes: Gauge::default(),
            disk: Gauge::default(),
            memory: Gauge::default(),
            connections: Gauge::default(),
            usual: Mutex::new(1.0),
        };
        metrics.registered()
    }
}

impl Metrics {
    fn registered(mut self) -> Self {
        let all = &mut self.registry;
        all.register("requests", "Answers to requests", self.requests.clone());
        all.register_with_unit("request", "Time to the head of an answer", Unit::Seconds, self.seconds.clone());
        let stages = "Time of a job's stages: queue, video, encode, decode, job (all but the queue), render";
        all.register_with_unit("stage", stages, Unit::Seconds, self.stages.clone());
        all.register("jobs", "Jobs that have ended", self.jobs.clone());
        all.register("jobs_now", "Jobs that wait, that run, and whose results are kept", self.now.clone());
        all.register("events", "Events that were decoded", self.events.clone());
        all.register("lanes", "Takes that are being decoded", self.lanes.clone());
        all.register_with_unit("disk", "Files of jobs", Unit::Bytes, self.disk.clone());
        all.register_with_unit("memory", "Resident memory of the server", Unit::Bytes, self.memory.clone());
        all.register("connections", "Open connections", self.connections.clone());
        self
    }

    /// A request was answered.
    pub fn answered(&self, route: &str, status: u16, took: Duration) {
        self.requests.get_or_create(&Request { route: route.to_owned(), status }).inc();
        self.seconds.get_or_create(&Route { route: route.to_owned() }).observe(took.as_secs_f64());
    }

    /// A stage of a job has ended.
    pub fn took(&self, stage: &'static str, took: Duration) {
        self.stages.get_or_create(&Stage { stage }).observe(took.as_secs_f64());
        if stage == "job" {
            let mut usual = lock(&self.usual);
            *usual = 0.8 * *usual + 0.2 * took.as_secs_f64();
        }
    }

    /// A job has ended.
    pub fn ended(&self, state: State, events: u64) {
        self.jobs.get_or_create(&StateLabel { state }).inc();
        self.events.inc_by(events);
    }

    /// How long a job usually takes, in seconds.
    pub fn usual_seconds(&self) -> f64 {
        *lock(&self.usual)
    }

    /// All of it in the text format of OpenMetrics.
    pub fn text(&self, jobs: &Jobs) -> Result<String, fmt::Error> {
        let [queued, running, kept, lanes] = jobs.counts();
        for (state, count) in [(State::Queued, queued), (State::Running, running), (State::Done, kept)] {
            self.now.get_or_create(&StateLabel { state }).set(count as i64);
        }
        self.lanes.set(lanes as i64);
        self.disk.set(jobs.store.used() as i64);
        self.memory.set(memory().unwrap_or(0));
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Bytes of this process in memory, where the system tells.
fn memory() -> Option<i64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.split_whitespace().next()?.parse::<i64>().ok()? * 1024)
}
