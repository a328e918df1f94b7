//! Jobs: their queue, their states, who works on them, and how long they are kept.

use std::collections::{HashMap, VecDeque};
use std::fs;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::Result;
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, watch};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::compose::{Call, Compose, Composed, DecodedEvent, Take};
use crate::metrics::Metrics;
use crate::problem::{Problem, Reason};
use crate::settings::Settings;
use crate::stop::{Stop, Stopped, lock};
use crate::store::{Folder, Store};

/// The file in a job's folder that says what became of it.
const RECORD: &str = "job.json";
/// How long an ended job's events are kept for those who listen.
const LISTENING: Duration = Duration::from_secs(60);
/// How many jobs that are gone are remembered as such.
const REMEMBERED: usize = 10_000;

/// All jobs of a server.
pub struct Jobs {
    pub settings: Settings,
    pub metrics: Metrics,
    pub store: Store,
    /// Renderings at once.
    pub renderers: Semaphore,
    compose: OnceLock<Box<dyn Compose>>,
    table: Mutex<Table>,
    /// For the workers: there is something to do.
    work: Condvar,
    draining: AtomicBool,
}

#[derive(Default)]
struct Table {
    jobs: HashMap<String, Arc<Job>>,
    queue: VecDeque<Arc<Job>>,
    running: Vec<Arc<Job>>,
    /// Requests whose film is on its way.
    uploading: usize,
    clients: HashMap<IpAddr, usize>,
    /// Jobs that were kept for their time.
    expired: VecDeque<String>,
}

/// What becomes of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It waits for others.
    Queued,
    /// It is being composed.
    Running,
    /// Its music is there.
    Done,
    /// It has an error.
    Failed,
    /// The client did not want it any more.
    Cancelled,
    /// The server ended before it was done.
    Lost,
}

impl State {
    pub fn is_end(self) -> bool {
        !matches!(self, Self::Queued | Self::Running)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// A film's way to its music.
pub struct Job {
    pub id: String,
    pub call: Call,
    pub stop: Stop,
    pub folder: Folder,
    /// One take is rendered after the other.
    pub rendering: tokio::sync::Mutex<()>,
    status: Mutex<Status>,
    notes: Mutex<Vec<DecodedEvent>>,
    changed: watch::Sender<()>,
    /// Held until it has ended.
    permit: Mutex<Option<ClientPermit>>,
}

/// How a job is.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Status {
    pub state: State,
    /// Seconds since 1970.
    pub created: f64,
    /// When it ended, in seconds since 1970.
    pub ended: Option<f64>,
    /// Seconds of the film, if they are known.
    pub duration: Option<f64>,
    /// Seconds of music.
    pub composed: f64,
    pub events: u64,
    pub error: Option<Reason>,
    pub takes: Vec<Take>,
    #[serde(skip)]
    pub problem: Option<Problem>,
    /// When it was put into the queue, or work began.
    #[serde(skip)]
    since: Option<Instant>,
}

/// As it is written into its folder.
#[derive(Serialize, Deserialize)]
struct Saved {
    call: Call,
    status: Status,
}

/// One of those that a client may have.
struct ClientPermit {
    jobs: Arc<Jobs>,
    client: IpAddr,
}

impl Drop for ClientPermit {
    fn drop(&mut self) {
        let mut table = self.jobs.table();
        if let Some(count) = table.clients.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                table.clients.remove(&self.client);
            }
        }
    }
}

/// A request that was let in, while its film comes. If it is dropped, nothing is left of it.
pub struct Admission {
    jobs: Arc<Jobs>,
    id: String,
    folder: Option<Folder>,
    permit: Option<ClientPermit>,
}

impl Admission {
    pub fn folder(&self) -> PathBuf {
        self.folder.as_ref().map(|folder| folder.path().to_owned()).unwrap_or_default()
    }

    /// Counts bytes that are about to be written into its folder.
    pub fn reserve(&self, bytes: u64) -> Result<(), Problem> {
        self.jobs.make_room(bytes)?;
        if let Some(folder) = &self.folder {
            folder.reserve(bytes);
        }
        Ok(())
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.jobs.table().uploading -= 1;
    }
}

impl Job {
    pub fn status(&self) -> Status {
        lock(&self.status).clone()
    }

    /// Wakes when something changes.
    pub fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    /// The events from number `from` on.
    pub fn notes(&self, from: usize) -> Vec<DecodedEvent> {
        lock(&self.notes).get(from..).map(<[DecodedEvent]>::to_vec).unwrap_or_default()
    }

    fn add(&self, event: DecodedEvent) {
        {
            let mut status = lock(&self.status);
            status.composed = status.composed.max(event.time);
            status.events += 1;
        }
        if event.note.is_some() {
            lock(&self.notes).push(event);
        }
        self.changed.send_replace(());
    }

    fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut lock(&self.status));
        self.changed.send_replace(());
    }

    /// Writes down how it is. That nothing can be written shows in other places.
    fn save(&self, status: Status) {
        let saved = Saved { call: self.call.clone(), status };
        let written = serde_json::to_vec(&saved)
            .map_err(anyhow::Error::from)
            .and_then(|json| Ok(vmt_files::write(&self.folder.path().join(RECORD), &json)?));
        if let Err(error) = written {
            tracing::warn!("a job's state cannot be written: {error:#}");
        }
        self.folder.measure();
    }

    /// Waits for its end.
    pub async fn ended(&self) {
        let mut changed = self.watch();
        while !self.status().state.is_end() {
            if changed.changed().await.is_err() {
                return;
            }
        }
    }
}

impl Jobs {
    /// Opens the store, where jobs of an earlier server may be.
    pub fn open(settings: Settings) -> Result<Arc<Self>> {
        let store = Store::open(settings.folder.as_deref())?;
        let mut table = Table::default();
        let mut lost = 0;
        for (id, folder) in store.found() {
            let record = fs::read(folder.path().join(RECORD)).ok();
            // One without a record was never queued: it goes.
            let Some(Saved { mut call, mut status }) = record.and_then(|json| serde_json::from_slice(&json).ok())
            else {
                continue;
            };
            folder.path().clone_into(&mut call.folder);
            if !status.state.is_end() {
                lost += 1;
                status = lose(status);
            }
            folder.keep();
            let job = Arc::new(Job::new(id.clone(), call, folder, status, None));
            job.save(job.status());
            table.jobs.insert(id, job);
        }
        if lost > 0 {
            tracing::warn!(lost, "jobs were lost when the server ended before");
        }
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        Ok(Arc::new(Self {
            settings,
            metrics: Metrics::default(),
            store,
            renderers: Semaphore::new(cores),
            compose: OnceLock::new(),
            table: Mutex::new(table),
            work: Condvar::new(),
            draining: AtomicBool::new(false),
        }))
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }

    /// What composes, once it is loaded.
    pub fn compose(&self) -> Result<&dyn Compose, Problem> {
        if self.draining.load(Ordering::Relaxed) {
            return Err(Problem::draining());
        }
        self.loaded().ok_or_else(Problem::loading)
    }

    /// The same also while the server is about to end.
    pub fn loaded(&self) -> Option<&dyn Compose> {
        self.compose.get().map(|compose| &**compose)
    }

    /// Begins to work.
    pub fn start(self: &Arc<Self>, compose: Box<dyn Compose>) {
        // It is called once.
        let _ = self.compose.set(compose);
        for _ in 0..self.settings.jobs {
            let jobs = self.clone();
            std::thread::spawn(move || jobs.run_jobs());
        }
    }

    /// Lets a request in, if there is room for it.
    pub fn admit(self: &Arc<Self>, client: IpAddr) -> Result<Admission, Problem> {
        let Settings { queue, per_client, .. } = self.settings;
        let mut table = self.table();
        if table.queue.len() + table.uploading >= queue {
            let seconds = self.metrics.usual_seconds() * (1 + queue / self.settings.jobs) as f64;
            return Err(Problem::busy("too many requests wait already", seconds.ceil().clamp(1.0, 600.0) as u64));
        }
        let permits = table.clients.entry(client).or_default();
        if *permits >= per_client {
            let message = format!("{per_client} requests at once are the most for one client");
            return Err(Problem::busy(message, self.metrics.usual_seconds().ceil() as u64));
        }
        *permits += 1;
        table.uploading += 1;
        drop(table);
        let (permit, id) = (Some(ClientPermit { jobs: self.clone(), client }), Uuid::new_v4().simple().to_string());
        let mut admission = Admission { jobs: self.clone(), id, folder: None, permit };
        admission.folder = Some(self.store.create(&admission.id).map_err(|error| Problem::of_writing(&error))?);
        Ok(admission)
    }

    /// Puts a request whose film has come into the queue.
    pub fn queue(&self, mut admission: Admission, call: Call, duration: Option<Duration>) -> Result<Arc<Job>, Problem> {
        let folder = admission.folder.take().ok_or_else(|| Problem::internal("a request has no folder"))?;
        let status = Status {
            state: State::Queued,
            created: now(),
            ended: None,
            duration: duration.map(|duration| duration.as_secs_f64()),
            composed: 0.0,
            events: 0,
            error: None,
            takes: Vec::new(),
            problem: None,
            since: Some(Instant::now()),
        };
        folder.keep();
        let job = Arc::new(Job::new(admission.id.clone(), call, folder, status, admission.permit.take()));
        job.save(job.status());
        let mut table = self.table();
        if self.draining.load(Ordering::Relaxed) {
            job.folder.release();
            return Err(Problem::draining());
        }
        table.jobs.insert(job.id.clone(), job.clone());
        table.queue.push_back(job.clone());
        self.work.notify_one();
        Ok(job)
    }

    /// The job of this name.
    pub fn find(&self, id: &str) -> Result<Arc<Job>, Problem> {
        let table = self.table();
        table.jobs.get(id).cloned().ok_or_else(|| {
            if table.expired.iter().any(|gone| gone == id) {
                Problem::gone(format!("the job was kept for {} s, and is gone", self.settings.limits.keep_seconds))
            } else {
                Problem::not_found("there is no job of this name")
            }
        })
    }

    /// Its place in the queue, from 1.
    pub fn place(&self, job: &Job) -> Option<usize> {
        self.table().queue.iter().position(|queued| queued.id == job.id).map(|place| place + 1)
    }

    /// Stops a job, and forgets it and what it has made.
    pub fn forget(&self, job: &Arc<Job>) {
        let mut table = self.table();
        table.jobs.remove(&job.id);
        job.folder.release();
        drop(table);
        self.cancel(job);
    }

    /// Stops a job.
    pub fn cancel(&self, job: &Arc<Job>) {
        job.stop.stop(Stopped::Cancelled);
        let mut table = self.table();
        let queued = table.queue.iter().position(|queued| queued.id == job.id);
        if queued.and_then(|place| table.queue.remove(place)).is_some() {
            drop(table);
            self.end(job, Err(Problem::cancelled()));
        }
    }

    /// Removes the oldest ended jobs until there is room for so many bytes more.
    pub fn make_room(&self, bytes: u64) -> Result<(), Problem> {
        while self.store.used().saturating_add(bytes) > self.settings.disk {
            let mut table = self.table();
            let ended = table.jobs.values().filter_map(|job| Some((job.status().ended?, job.clone())));
            let Some((_, oldest)) = ended.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
                return Err(Problem::no_space("the server's share of its disk is full"));
            };
            table.expire(&oldest);
        }
        Ok(())
    }

    /// A thread that composes for one film after the other.
    fn run_jobs(&self) {
        while let Some((job, compose)) = self.next() {
            let work = || compose.compose(&job.call, &job.stop, &mut |event| job.add(event));
            let done =
                catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err(Problem::internal("a job panicked")));
            self.table().running.retain(|running| !Arc::ptr_eq(running, &job));
            self.end(&job, done);
        }
    }

    fn next(&self) -> Option<(Arc<Job>, &dyn Compose)> {
        let idle = |table: &mut Table| table.queue.is_empty() && !self.draining.load(Ordering::Relaxed);
        let mut table = self.work.wait_while(self.table(), idle).unwrap_or_else(PoisonError::into_inner);
        let job = table.queue.pop_front()?;
        table.running.push(job.clone());
        let behind = table.queue.clone();
        drop(table);
        let mut waited = Duration::ZERO;
        job.change(|status| {
            waited = status.since.map_or(Duration::ZERO, |since| since.elapsed());
            (status.state, status.since) = (State::Running, Some(Instant::now()));
        });
        self.metrics.took("queue", waited);
        for job in behind {
            job.changed.send_replace(());
        }
        Some((job, self.loaded()?))
    }

    /// Says what became of a job, after all of it is on the disk: who reads that it is done may rely on it.
    fn end(&self, job: &Job, done: Result<Composed, Problem>) {
        let mut status = job.status();
        let took = status.since.map_or(Duration::ZERO, |since| since.elapsed());
        status.ended = Some(now());
        let done = match (job.stop.why(), done) {
            (Some(Stopped::Cancelled), _) => Err((State::Cancelled, Problem::cancelled())),
            (Some(Stopped::Draining), _) => Err((State::Lost, Problem::draining())),
            (Some(Stopped::Late), Err(_)) => Err((State::Failed, Problem::late(self.settings.limits.job_seconds))),
            (_, done) => done.map_err(|problem| (State::Failed, problem)),
        };
        match done {
            Ok(Composed { takes, stages }) => {
                self.metrics.took("job", took);
                stages.iter().for_each(|(stage, took)| self.metrics.took(stage, *took));
                status.duration = takes.first().map(|take| take.duration);
                (status.state, status.takes) = (State::Done, takes);
            }
            Err((state, problem)) => {
                (status.state, status.error) = (state, Some(problem.reason()));
                status.problem = Some(problem);
                // Of what failed only the reason is of use.
                let _ = fs::remove_file(job.call.film());
            }
        }
        self.metrics.ended(status.state, status.events);
        if job.folder.path().exists() {
            job.save(status.clone());
        }
        lock(&job.permit).take();
        job.change(|current| *current = status);
    }

    /// What must happen by itself: jobs that take too long are stopped, old ones forgotten.
    pub fn tidy(&self) {
        let limits = &self.settings.limits;
        let (work, keep) = (Duration::from_secs(limits.job_seconds), limits.keep_seconds);
        let mut table = self.table();
        for job in &table.running {
            if lock(&job.status).since.is_some_and(|since| since.elapsed() > work) {
                job.stop.stop(Stopped::Late);
            }
        }
        let mut old = Vec::new();
        for job in table.jobs.values() {
            let Some(ended) = lock(&job.status).ended else { continue };
            let age = now() - ended;
            if age > keep as f64 {
                old.push(job.clone());
            } else if age > LISTENING.as_secs_f64() {
                lock(&job.notes).clear();
            }
        }
        old.iter().for_each(|job| table.expire(job));
    }

    /// Takes nothing more; what waits is lost. Returns whether all has ended.
    pub fn drain(&self) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        let queued: Vec<_> = {
            let mut table = self.table();
            self.work.notify_all();
            table.queue.drain(..).collect()
        };
        for job in queued {
            job.stop.stop(Stopped::Draining);
            self.end(&job, Err(Problem::draining()));
        }
        self.table().running.is_empty()
    }

    /// Stops what is running.
    pub fn stop_running(&self) {
        let running = self.table().running.clone();
        running.iter().for_each(|job| job.stop.stop(Stopped::Draining));
    }

    /// Numbers of jobs that wait, those that run, those that have ended, and takes that are decoded.
    pub fn counts(&self) -> [usize; 4] {
        let table = self.table();
        let takes = |job: &Arc<Job>| job.call.option("takes").and_then(|takes| takes.parse().ok()).unwrap_or(1);
        let lanes: usize = table.running.iter().map(takes).sum();
        let (queued, running) = (table.queue.len(), table.running.len());
        [queued, running, table.jobs.len().saturating_sub(queued + running), lanes]
    }
}

impl Job {
    fn new(id: String, call: Call, folder: Folder, status: Status, permit: Option<ClientPermit>) -> Self {
        Self {
            id,
            call,
            stop: Stop::default(),
            folder,
            rendering: tokio::sync::Mutex::new(()),
            status: status.into(),
            notes: Mutex::default(),
            changed: watch::Sender::new(()),
            permit: permit.into(),
        }
    }
}

impl Table {
    fn expire(&mut self, job: &Job) {
        if let Some(job) = self.jobs.remove(&job.id) {
            job.folder.release();
            self.expired.push_back(job.id.clone());
            if self.expired.len() > REMEMBERED {
                self.expired.pop_front();
            }
        }
    }
}

/// What is left of a job whose server has ended.
fn lose(status: Status) -> Status {
    let message = "the server ended before the job was done";
    let error = Some(Reason { code: "lost".to_owned(), message: message.to_owned() });
    Status { state: State::Lost, ended: Some(now()), error, ..status }
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |since| since.as_secs_f64())
}
