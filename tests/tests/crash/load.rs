//! Clients at work while processes of the engine die, and what they were told.

use e2e::Engine;
use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What clients were told. An object whose removal or renaming was tried without success is in neither set.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What exists, as `kind name`.
    pub(crate) kept: BTreeSet<String>,
    /// What is gone.
    pub(crate) gone: BTreeSet<String>,
}

/// One client: its name is the beginning of all that it makes.
pub(crate) struct Client<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) name: String,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) told: &'a Mutex<Told>,
}

impl Client<'_> {
    /// Does one thing after the other until told to stop.
    fn repeat(&self, mut once: impl FnMut(&str, u32)) {
        for number in 0.. {
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            once(&format!("{}-{number}", self.name), number);
        }
    }

    /// Whether the engine said that it was done; a pause otherwise, for there may be no engine.
    fn done(&self, arguments: &[&str]) -> bool {
        let done = self.engine.docker(arguments).code == 0;
        if !done {
            std::thread::sleep(Duration::from_millis(20));
        }
        done
    }

    fn made(&self, kind: &str, name: &str) {
        self.told.lock().unwrap().kept.insert(format!("{kind} {name}"));
    }

    /// Tries to take an object away: from here on it may be there or not, and after success it is not.
    fn take(&self, kind: &str, name: &str, arguments: &[&str]) -> bool {
        let object = format!("{kind} {name}");
        self.told.lock().unwrap().kept.remove(&object);
        let done = self.done(arguments);
        if done {
            self.told.lock().unwrap().gone.insert(object);
        }
        done
    }

    /// Containers from their creation to their removal, with and without volumes, some renamed, some kept.
    pub(crate) fn containers(&self) {
        self.repeat(|name, number| {
            let mut arguments = vec!["create", "--name", name];
            let named = format!("{name}:/data");
            match number % 3 {
                0 => arguments.extend(["-v", &named]),
                1 => arguments.extend(["-v", "/data"]),
                _ => {}
            }
            arguments.extend(["busybox", "sh", "-c", "sleep 0.0$RANDOM; exit 5"]);
            if !self.done(&arguments) {
                return;
            }
            self.made("container", name);
            self.done(&["start", name]);
            match number % 5 {
                0 => {}
                1 => {
                    let new = format!("{name}-renamed");
                    if self.take("container", name, &["rename", name, &new]) {
                        self.made("container", &new);
                    }
                }
                _ => {
                    self.take("container", name, &["rm", "-f", "-v", name]);
                }
            }
        });
    }

    /// Clients that wait for the output: when they are told that all went well, it is all there.
    pub(crate) fn attached(&self) {
        self.repeat(|name, _| {
            let said = self.engine.docker(&["run", "--rm", "busybox", "echo", name]);
            if said.code == 0 {
                assert_eq!(said.out, format!("{name}\n"));
            }
            let said = self.engine.docker(&["exec", "steady", "echo", name]);
            if said.code == 0 {
                assert_eq!(said.out, format!("{name}\n"));
            }
            self.done(&["exec", "-d", "steady", "sleep", "0.2"]);
            self.done(&["pause", "resting"]);
            self.done(&["unpause", "resting"]);
        });
    }

    /// Images that are loaded, made of containers, used and removed; volumes.
    pub(crate) fn images(&self) {
        let archive = self.engine.path("other.tar").display().to_string();
        self.repeat(|name, number| {
            if self.done(&["load", "-q", "-i", &archive])
                && number % 2 == 0
                && let said = self.engine.docker(&["run", "--rm", "other", "cat", "/file"])
                && said.code == 0
            {
                assert_eq!(said.out, "other\n");
            }
            self.done(&["rmi", "-f", "other"]);
            if self.done(&["commit", "steady", name]) {
                self.made("image", name);
                if number % 2 == 0 {
                    self.take("image", name, &["rmi", name]);
                }
            }
            if self.done(&["volume", "create", name]) {
                self.made("volume", name);
                if number % 2 == 0 {
                    self.take("volume", name, &["volume", "rm", name]);
                }
            }
        });
    }
}
