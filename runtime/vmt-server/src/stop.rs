//! Ending work from elsewhere.

use std::io;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says that work is to end, and ends the child processes that it waits for. Clones are one and the same.
#[derive(Clone, Debug, Default)]
pub struct Stop(Arc<Mutex<Inner>>);

#[derive(Debug, Default)]
struct Inner {
    why: Option<Stopped>,
    children: Vec<Arc<Mutex<Child>>>,
}

/// Why work was stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The client has left, or has asked for it.
    Cancelled,
    /// It took too long.
    Late,
    /// The server ends.
    Draining,
}

impl Stop {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        lock(&self.0)
    }

    /// Stops the work, unless it was stopped before.
    pub fn stop(&self, why: Stopped) {
        let mut inner = self.inner();
        inner.why.get_or_insert(why);
        for child in &inner.children {
            // One that has ended already is not there to be ended.
            let _ = lock(child).kill();
        }
    }

    /// Why the work is to end, if it is.
    pub fn why(&self) -> Option<Stopped> {
        self.inner().why
    }

    /// Starts a child process that [`stop`](Self::stop) ends.
    ///
    /// # Errors
    /// Where the system starts none, and [`io::ErrorKind::Interrupted`] where the work was stopped.
    pub fn spawn(&self, command: &mut Command) -> io::Result<Running> {
        let mut inner = self.inner();
        if inner.why.is_some() {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let child = Arc::new(Mutex::new(command.spawn()?));
        inner.children.push(child.clone());
        Ok(Running { stop: self.clone(), child })
    }
}

/// A child process; it is ended when this is dropped.
#[derive(Debug)]
pub struct Running {
    stop: Stop,
    child: Arc<Mutex<Child>>,
}

impl Running {
    /// The child, for its pipes.
    pub fn child(&self) -> MutexGuard<'_, Child> {
        lock(&self.child)
    }

    /// Waits for its end, which is near: it has closed its standard output.
    ///
    /// # Errors
    /// Those of the system.
    pub fn wait(&self) -> io::Result<ExitStatus> {
        self.child().wait()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.inner().children.retain(|child| !Arc::ptr_eq(child, &self.child));
        let mut child = self.child();
        let _ = child.kill();
        let _ = child.wait();
    }
}

/// A mutex whose holder may have panicked.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn children_end_with_the_work() {
        let stop = Stop::default();
        let began = Instant::now();
        let child = stop.spawn(Command::new("sleep").arg("60")).unwrap();
        let other = stop.clone();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                other.stop(Stopped::Late);
                other.stop(Stopped::Cancelled);
            });
            while child.child().try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        assert!(began.elapsed() < Duration::from_secs(30));
        assert_eq!(stop.why(), Some(Stopped::Late), "the first reason stays");
        let refused = stop.spawn(&mut Command::new("true")).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::Interrupted);
    }
}
