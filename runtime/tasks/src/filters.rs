//! Compiled system call filters.

use messages::task::Seccomp;
use plan::Filter;
use policy::DEFAULT_CAPABILITIES;
use seccomp::{Arch, Profile};
use spec::{Class, Failure};
use std::collections::BTreeMap;
use sys::seccomp::FilterFlags;

/// Sets of capabilities for which the default profile is kept compiled, 8 kB each.
const KEPT: usize = 32;

/// The default profile for the sets of capabilities that were asked for, compiled.
#[derive(Debug)]
pub struct Filters {
    host: Arch,
    kernel: (u32, u32),
    compiled: BTreeMap<Vec<String>, Filter>,
}

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
            let filter = self.compile(Profile::docker_default(), &key)?;
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
                None => self.compile(Profile::docker_default(), capabilities),
            },
            Seccomp::Profile(text) => {
                let profile = Profile::parse(text)
                    .map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?;
                self.compile(&profile, capabilities)
            }
        }
    }

    fn compile(
        &self,
        profile: &Profile,
        capabilities: &[String],
    ) -> Result<Option<Filter>, Failure> {
        let Some(filter) = profile.resolve(self.host, capabilities, self.kernel) else {
            return Ok(None);
        };
        if filter.notifies() {
            return Err(Failure::new(
                Class::NotImplemented,
                "invalid seccomp profile: SCMP_ACT_NOTIFY is not supported",
            ));
        }
        let program = filter
            .compile(self.host)
            .map_err(|error| Failure::from_error(Class::InvalidArgument, &error))?;
        let flags = FilterFlags::from_bits_retain(program.flags);
        Ok(Some(Filter { program: program.bytes(), flags }))
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
