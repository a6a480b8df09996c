//! Users and their passwords from a file of Apache's `htpasswd`, of which bcrypt alone is accepted.
//!
//! A bcrypt check costs tens of milliseconds by design, and clients send the password with every request. So a
//! password that was found right is remembered for a while, as a keyed hash; and only so many checks run at once, so
//! that guessing cannot take all processors from everybody else.

use crate::failure::Failure;
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};
use tokio::sync::Semaphore;

/// The largest file that is read.
const FILE_MAX: u64 = 4 << 20;
/// The most work of one check: 2 to this power rounds, a second or so.
const COST_MAX: u32 = 14;
/// How many checks run at once, and how many may wait for their turn.
const CHECKS: usize = 2;
const WAITING: usize = 64;
/// How long a password that was right is remembered, and how many.
const REMEMBERED: Duration = Duration::from_secs(300);
const MOST_REMEMBERED: usize = 4096;
/// How often it is looked whether the file has changed.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Why a password file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum HtpasswdError {
    /// It cannot be read.
    #[error("read password file {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A line is not `user:hash`.
    #[error("read password file {}: line {line}: must be user:hash", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// Which, from 1.
        line: usize,
    },
    /// A password has another kind of hash.
    #[error(
        "read password file {}: line {line}: the password of {user:?} is stored as {kind}: only bcrypt is accepted (htpasswd -B)",
        path.display()
    )]
    Kind {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Whose.
        user: String,
        /// What it is.
        kind: &'static str,
    },
    /// A hash would take too long to check.
    #[error(
        "read password file {}: line {line}: the bcrypt cost of {user:?} must be 4 to {COST_MAX}",
        path.display()
    )]
    Cost {
        /// The file.
        path: PathBuf,
        /// Which line, from 1.
        line: usize,
        /// Whose.
        user: String,
    },
}

/// The users of a file, which is read again when it changes.
#[derive(Debug)]
pub(crate) struct Users {
    path: PathBuf,
    state: Mutex<State>,
    checks: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    key: [u8; 32],
}

#[derive(Debug)]
struct State {
    hashes: HashMap<String, Arc<str>>,
    version: Option<(SystemTime, u64)>,
    looked: Instant,
    right: HashMap<[u8; 32], Instant>,
}

impl Users {
    pub(crate) fn load(path: PathBuf) -> Result<Self, HtpasswdError> {
        let version = version(&path);
        let hashes = read(&path)?;
        let mut key = [0; 32];
        aws_lc_rs::rand::fill(&mut key).map_err(|_| HtpasswdError::Read {
            path: path.clone(),
            source: std::io::Error::other("the kernel has no random bytes"),
        })?;
        let state = State { hashes, version, looked: Instant::now(), right: HashMap::new() };
        Ok(Self {
            path,
            state: Mutex::new(state),
            checks: Arc::new(Semaphore::new(CHECKS)),
            waiting: Arc::new(Semaphore::new(WAITING)),
            key,
        })
    }

    /// Whether this is the user's password. A failure says that too many ask.
    pub(crate) async fn check(&self, user: &str, password: &str) -> Result<bool, Failure> {
        let (hash, memory) = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            self.look_again(&mut state);
            let hash = state.hashes.get(user).cloned();
            let memory = self.memory(user, password, hash.as_deref().unwrap_or_default());
            let until = state.right.get(&memory);
            if hash.is_some() && until.is_some_and(|until| *until > Instant::now()) {
                return Ok(true);
            }
            (hash, memory)
        };
        let busy = || Failure::too_many("too many passwords are being checked");
        let _waiting = self.waiting.try_acquire().map_err(|_| busy())?;
        let check = self.checks.acquire().await.map_err(|_| busy())?;
        let known = hash.is_some();
        // Who is not known costs as much time as who is.
        let hash = hash.unwrap_or_else(|| Arc::from(NOBODY));
        let password = password.to_owned();
        let right = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash));
        let right = right.await.is_ok_and(|right| right.unwrap_or(false)) && known;
        drop(check);
        if right {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if state.right.len() >= MOST_REMEMBERED {
                state.right.clear();
            }
            state.right.insert(memory, Instant::now() + REMEMBERED);
        }
        Ok(right)
    }

    fn memory(&self, user: &str, password: &str, hash: &str) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.key);
        for text in [user, password, hash] {
            digest.update((text.len() as u64).to_le_bytes());
            digest.update(text);
        }
        digest.finalize().into()
    }

    fn look_again(&self, state: &mut State) {
        if state.looked.elapsed() < LOOK_AGAIN {
            return;
        }
        state.looked = Instant::now();
        let version = version(&self.path);
        if version == state.version {
            return;
        }
        // A file that is wrong now changes nothing: the users are those of before.
        match read(&self.path) {
            Ok(hashes) => (state.hashes, state.version) = (hashes, version),
            Err(error) => tracing::error!(error = %crate::failure::chain(&error), "reload users"),
        }
    }
}

/// A hash of cost 10 that no password has.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn version(path: &std::path::Path) -> Option<(SystemTime, u64)> {
    let data = std::fs::metadata(path).ok()?;
    Some((data.modified().ok()?, data.len()))
}

fn read(path: &std::path::Path) -> Result<HashMap<String, Arc<str>>, HtpasswdError> {
    use std::io::Read;
    let failed = |source| HtpasswdError::Read { path: path.to_owned(), source };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(failed)?;
    file.take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    parse(path, &text)
}

fn parse(path: &std::path::Path, text: &str) -> Result<HashMap<String, Arc<str>>, HtpasswdError> {
    let mut hashes = HashMap::new();
    for (at, line) in text.lines().enumerate() {
        let (path, line, text) = (path.to_owned(), at + 1, line.trim());
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (user, hash) = match text.split_once(':') {
            Some((user, hash)) if !user.is_empty() => (user.to_owned(), hash),
            _ => return Err(HtpasswdError::Line { path, line }),
        };
        if let Some(kind) = other_kind(hash) {
            return Err(HtpasswdError::Kind { path, line, user, kind });
        }
        let cost = hash.get(4..6).and_then(|cost| cost.parse().ok());
        if hash.len() != 60 || !cost.is_some_and(|cost: u32| (4..=COST_MAX).contains(&cost)) {
            return Err(HtpasswdError::Cost { path, line, user });
        }
        hashes.insert(user, Arc::from(hash));
    }
    Ok(hashes)
}

/// What a hash is that is not bcrypt's.
fn other_kind(hash: &str) -> Option<&'static str> {
    let kinds = [
        ("$2y$", None),
        ("$2b$", None),
        ("$2a$", None),
        ("$apr1$", Some("MD5 (apr1)")),
        ("$1$", Some("MD5")),
        ("{SHA}", Some("SHA-1")),
        ("$5$", Some("SHA-256 crypt")),
        ("$6$", Some("SHA-512 crypt")),
    ];
    let found = kinds.iter().find(|(prefix, _)| hash.starts_with(prefix));
    found.map_or(Some("DES crypt or plain text"), |(_, kind)| *kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn users(text: &str) -> (tempfile::NamedTempFile, Result<Users, HtpasswdError>) {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let users = Users::load(file.path().to_owned());
        (file, users)
    }

    #[tokio::test]
    async fn a_bcrypt_password_is_right_and_every_other_wrong() {
        let hash = bcrypt::hash("secret", 4).unwrap();
        let (_file, users) = users(&format!("# users\n\nann:{hash}\n"));
        let users = users.unwrap();
        for _ in 0..2 {
            assert_eq!(users.check("ann", "secret").await, Ok(true));
            assert_eq!(users.check("ann", "Secret").await, Ok(false));
            assert_eq!(users.check("bob", "secret").await, Ok(false));
            assert_eq!(users.check("bob", "").await, Ok(false));
        }
    }

    #[test]
    fn other_hashes_are_refused_with_a_sentence_that_says_what_to_do() {
        let table = [
            (
                "ann:$apr1$abc$def",
                "line 1: the password of \"ann\" is stored as MD5 (apr1): only bcrypt is accepted (htpasswd -B)",
            ),
            ("x:{SHA}abc", "stored as SHA-1: only bcrypt"),
            ("x:secret", "stored as DES crypt or plain text"),
            ("\nx", "line 2: must be user:hash"),
            ("x:$2y$31$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "cost"),
        ];
        for (text, part) in table {
            let (_file, users) = users(text);
            let error = users.unwrap_err().to_string();
            assert!(error.contains(part), "{error}");
        }
    }
}
