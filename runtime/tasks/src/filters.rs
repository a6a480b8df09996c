//! Compiled system call filters.

use messages::task::Seccomp;
use plan::Filter;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions};
use seccomp::{Arch, Profile};
use spec::linux::DEFAULT_CAPABILITIES;
use spec::{Class, Failure};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use sys::seccomp::FilterFlags;
use transport::{decode, encode};

/// Sets of capabilities for which the default profile is kept compiled, 8 kB each.
const KEPT: usize = 32;
/// Bytes of what a child sends: 4,096 instructions of 8 bytes and some words.
const LONGEST: u64 = 64 * 1024;

/// The default profile for the sets of capabilities that were asked for, compiled.
///
/// A profile takes 0.3 MB of memory when it is parsed, which every shim would inherit or keep. So each is compiled by a
/// forked child that ends with it; that takes a millisecond.
#[derive(Debug)]
pub struct Filters {
    host: Arch,
    kernel: (u32, u32),
    compiled: BTreeMap<Vec<String>, Filter>,
}

/// What the child sends: flags and program; none for an empty profile.
type Sent = Result<Option<(u32, Vec<u8>)>, Failure>;

impl Filters {
    /// Compiles the default profile for the capabilities that containers have by default.
    pub fn prepare() -> Result<Self, Failure> {
        let host = Arch::host().ok_or_else(|| {
            Failure::new(Class::NotImplemented, "seccomp is not implemented for this architecture")
        })?;
        let mut filters = Self { host, kernel: kernel_version(), compiled: BTreeMap::new() };
        let capabilities = DEFAULT_CAPABILITIES.map(str::to_owned);
        filters.keep(&capabilities)?;
        Ok(filters)
    }

    /// Keeps the default profile compiled for these capabilities, from now on.
    pub fn keep(&mut self, capabilities: &[String]) -> Result<(), Failure> {
        let key = sorted(capabilities);
        if self.compiled.len() < KEPT && !self.compiled.contains_key(&key) {
            let filter = self.compile(None, &key)?;
            if let Some(filter) = filter {
                self.compiled.insert(key, filter);
            }
        }
        Ok(())
    }

    /// The filter that is asked for, for a process with these capabilities in its bounding set.
    pub fn filter(
        &self,
        seccomp: &Seccomp,
        capabilities: &[String],
    ) -> Result<Option<Filter>, Failure> {
        match seccomp {
            Seccomp::Unconfined => Ok(None),
            Seccomp::Default => match self.compiled.get(&sorted(capabilities)) {
                Some(filter) => Ok(Some(filter.clone())),
                None => self.compile(None, capabilities),
            },
            Seccomp::Profile(text) => self.compile(Some(text), capabilities),
        }
    }

    /// Compiles the profile `text`, or the default one, in a child.
    fn compile(
        &self,
        text: Option<&str>,
        capabilities: &[String],
    ) -> Result<Option<Filter>, Failure> {
        let failed = |cause: &dyn std::fmt::Display| {
            Failure::internal(format!("compile seccomp profile: {cause}"))
        };
        let (reader, writer) = pipe_with(PipeFlags::CLOEXEC).map_err(|errno| failed(&errno))?;
        let child = sys::fork::fork_child(|| {
            let sent: Sent = self.compile_here(text, capabilities);
            let bytes = encode(&sent).unwrap_or_default();
            let written = writer.try_clone().and_then(|fd| File::from(fd).write_all(&bytes));
            u8::from(written.is_err())
        })
        .map_err(|error| failed(&error))?;
        drop(writer);
        let mut bytes = Vec::new();
        let read = File::from(reader).take(LONGEST).read_to_end(&mut bytes);
        rustix::process::waitpid(Pid::from_raw(child), WaitOptions::empty()).ok();
        read.map_err(|error| failed(&error))?;
        let sent: Sent = decode(&bytes).map_err(|error| failed(&error))?;
        sent.map(|filter| {
            filter.map(|(flags, program)| Filter {
                program,
                flags: FilterFlags::from_bits_retain(flags),
            })
        })
    }

    fn compile_here(&self, text: Option<&str>, capabilities: &[String]) -> Sent {
        let invalid =
            |error: &dyn std::error::Error| Failure::from_error(Class::InvalidArgument, error);
        let parsed = text.map(Profile::parse).transpose().map_err(|error| invalid(&error))?;
        let profile = parsed.as_ref().unwrap_or_else(|| Profile::docker_default());
        let Some(filter) = profile.resolve(self.host, capabilities, self.kernel) else {
            return Ok(None);
        };
        if filter.notifies() {
            return Err(Failure::new(
                Class::NotImplemented,
                "invalid seccomp profile: SCMP_ACT_NOTIFY is not supported",
            ));
        }
        let program = filter.compile(self.host).map_err(|error| invalid(&error))?;
        Ok(Some((program.flags, program.bytes())))
    }
}

fn sorted(capabilities: &[String]) -> Vec<String> {
    let mut sorted = capabilities.to_vec();
    sorted.sort_unstable();
    sorted.dedup();
    sorted
}

/// Major and minor number of the kernel; zero for what cannot be read.
fn kernel_version() -> (u32, u32) {
    let name = rustix::system::uname();
    let release = name.release().to_string_lossy();
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|n| n.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0))
}
