//! The steps of the child, and the sentence for a failed one.
//!
//! Between clone and execve the child cannot make text. It sends `{step, index, errno}`, and its parent says what that
//! means by the plan that both have.

use crate::{HookPlan, Plan, ProcessPlan, Search};
use spec::Class;
use std::ffi::CString;
use std::io::Error as IoError;

macro_rules! steps {
    ($($(#[doc = $doc:literal])* $name:ident),* $(,)?) => {
        /// What the child was doing; the order is that in which it does it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u32)]
        pub enum StepKind { $($(#[doc = $doc])* $name),* }

        impl StepKind {
            /// The name of the step, for measurements.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),* }
            }

            /// The step with this number.
            pub fn of_number(number: u32) -> Option<Self> {
                STEPS.get(usize::try_from(number).ok()?).copied()
            }
        }

        const STEPS: &[StepKind] = &[$(StepKind::$name),*];
    };
}

steps! {
    /// Not a failure: everything before the start gate is done.
    Ready,
    /// Not a failure: an intermediate process made the process; index is its pid and errno the pidfd's number.
    Spawned,
    /// Not a failure: an intermediate process is in a new user namespace and needs its id maps.
    NeedsMaps,
    /// Moving itself into a cgroup; index counts hierarchies.
    JoinCgroup,
    /// Joining a namespace; index counts the given ones.
    JoinNamespace,
    /// Making the process in the joined namespaces.
    Clone,
    /// Waiting for the id maps.
    WaitForMaps,
    /// Becoming root of the user namespace.
    BecomeRoot,
    /// Making a new time namespace, or setting its clocks; index 1 for those.
    TimeNamespace,
    /// Making a new cgroup namespace.
    UnshareCgroup,
    /// Making a new session.
    Session,
    /// Putting a standard stream in its place; index is its number.
    Stdio,
    /// Making all mounts private.
    PrivateMounts,
    /// Attaching the root.
    AttachRoot,
    /// Making the private procfs.
    OpenProc,
    /// Finding or making the target of a mount.
    MountTarget,
    /// The target of a mount is a file of procfs.
    MountInsideProc,
    /// Making the file system of a mount.
    MountMake,
    /// Copying what is at the target into a mount.
    MountCopy,
    /// Attaching a mount.
    MountAttach,
    /// Making a device node.
    Device,
    /// A device node is not what was made.
    DeviceReplaced,
    /// Making a symbolic link.
    Link,
    /// Making the working directory.
    MakeDirectory,
    /// Opening the terminal.
    Console,
    /// Making a path read-only.
    Readonly,
    /// Masking a path.
    Masked,
    /// Making the root read-only.
    RootReadonly,
    /// Not a failure: hooks outside are to be called.
    HostHooks,
    /// Starting a hook in the container's namespaces.
    CreateContainerHook,
    /// A hook in the container's namespaces failed; the number is its status.
    CreateContainerHookStatus,
    /// Changing the root.
    PivotRoot,
    /// Setting the root's propagation.
    RootPropagation,
    /// Setting the host name.
    Hostname,
    /// Setting the domain name.
    Domainname,
    /// Setting a kernel parameter.
    Sysctl,
    /// Joining a new session keyring.
    Keyring,
    /// Setting the score for running out of memory.
    OomScore,
    /// Setting a resource limit.
    Rlimit,
    /// Setting the execution domain.
    Personality,
    /// Setting the scheduling policy.
    Scheduler,
    /// Setting the I/O priority.
    IoPriority,
    /// Setting the memory policy.
    MemoryPolicy,
    /// Setting the CPU affinity.
    Affinity,
    /// Setting the label of the program.
    Label,
    /// Waiting at the start gate.
    Gate,
    /// Putting a descriptor of the caller in its place; index counts them.
    Preserve,
    /// Giving up gaining rights.
    NoNewPrivs,
    /// Handing the filter's listener to its supervisor.
    Listener,
    /// Loading the system call filter.
    Seccomp,
    /// Limiting the bounding set.
    Bounding,
    /// Setting the supplementary groups.
    Groups,
    /// Setting the group.
    Group,
    /// Setting the user.
    User,
    /// Setting the capabilities.
    Capabilities,
    /// Changing to the working directory.
    ChangeDirectory,
    /// The working directory is outside the container.
    DirectoryOutside,
    /// Closing everything that the program must not have.
    CloseDescriptors,
    /// Starting a hook in the container.
    StartContainerHook,
    /// A hook in the container failed; the number is its status.
    StartContainerHookStatus,
    /// Looking for the program.
    FindProgram,
    /// Running the program; index counts the candidates.
    Execute,
}

/// What the child reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record {
    /// The step.
    pub step: StepKind,
    /// Which of several objects.
    pub index: u32,
    /// The kernel's error number.
    pub errno: i32,
}

impl Record {
    /// The length of a record in bytes.
    pub const SIZE: usize = 12;

    /// The record as the child writes it.
    pub fn to_bytes(self) -> [u8; Self::SIZE] {
        let mut bytes = [0; Self::SIZE];
        bytes[..4].copy_from_slice(&(self.step as u32).to_ne_bytes());
        bytes[4..8].copy_from_slice(&self.index.to_ne_bytes());
        bytes[8..].copy_from_slice(&self.errno.to_ne_bytes());
        bytes
    }

    /// The record that was read; nothing if it is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let word = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        let step = usize::try_from(u32::from_ne_bytes(word(0)?)).ok()?;
        Some(Self {
            step: *STEPS.get(step)?,
            index: u32::from_ne_bytes(word(4)?),
            errno: i32::from_ne_bytes(word(8)?),
        })
    }
}

/// A failed start: what was being done, its class and the sentence.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// What the child was doing.
    pub step: StepKind,
    /// The class of the failure.
    pub class: Class,
    /// `<what failed> <object>: <cause>`.
    pub message: String,
}

const ENOENT: i32 = 2;
const EACCES: i32 = 13;
const ENOTDIR: i32 = 20;
const EISDIR: i32 = 21;
const ENOEXEC: i32 = 8;
const ELOOP: i32 = 40;
const ETIMEDOUT: i32 = 110;

/// The text of an error number in lower case, as Go and so Docker prints it.
fn cause(errno: i32) -> String {
    let text = IoError::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_lowercase()
}

fn at<T>(list: &[T], index: u32) -> Option<&T> {
    list.get(usize::try_from(index).ok()?)
}

fn quoted(text: Option<&CString>) -> String {
    format!("{:?}", text.map_or_else(Default::default, |text| text.to_string_lossy()))
}

impl Plan {
    /// What the record says about this plan.
    pub fn explain(&self, record: Record) -> Failure {
        let Record { step, index, errno } = record;
        let why = cause(errno);
        let target = || quoted(at(&self.mounts, index).map(|mount| &mount.target));
        let device = || quoted(at(&self.devices, index).map(|device| &device.path));
        let (class, message) = match step {
            StepKind::MountCopy => {
                (Class::Internal, format!("mount {}: copy what is there: {why}", target()))
            }
            StepKind::MountTarget | StepKind::MountAttach | StepKind::MountMake => {
                return Failure { step, ..self.mount_failure(step, &target(), errno) };
            }
            StepKind::MountInsideProc => (
                Class::InvalidArgument,
                format!("mount {}: cannot be mounted because it is inside /proc", target()),
            ),
            StepKind::Device => (Class::Internal, format!("make device {}: {why}", device())),
            StepKind::DeviceReplaced => (
                Class::InvalidArgument,
                format!("make device {}: something else is there", device()),
            ),
            StepKind::Link => {
                let name = at(&self.links, index).map(|link| link.name.to_string_lossy());
                let name = name.unwrap_or_default();
                (Class::Internal, format!("make link \"/dev/{name}\": {why}"))
            }
            StepKind::Readonly => {
                let path = quoted(at(&self.readonly, index));
                (Class::Internal, format!("make {path} read-only: {why}"))
            }
            StepKind::Masked => {
                (Class::Internal, format!("mask {}: {why}", quoted(at(&self.masked, index))))
            }
            StepKind::Sysctl => {
                let path = at(&self.sysctls, index).map(|sysctl| &sysctl.path);
                (Class::InvalidArgument, format!("set sysctl {}: {why}", quoted(path)))
            }
            StepKind::Hostname => {
                let name = quoted(self.hostname.as_ref());
                (Class::InvalidArgument, format!("set host name {name}: {why}"))
            }
            StepKind::CreateContainerHook | StepKind::CreateContainerHookStatus => {
                let hooks = &self.hooks.create_container;
                return hook_failure("createContainer", hooks, record);
            }
            StepKind::StartContainerHook | StepKind::StartContainerHookStatus => {
                return hook_failure("startContainer", &self.hooks.start_container, record);
            }
            _ => return self.process.explain(record),
        };
        Failure { step, class, message }
    }

    fn mount_failure(&self, step: StepKind, target: &str, errno: i32) -> Failure {
        let why = cause(errno);
        let hint = ": are you trying to mount a directory onto a file (or vice-versa)? \
                    check if the specified host path exists and is the expected type";
        let (class, message) = match errno {
            ENOTDIR | EISDIR => (Class::InvalidArgument, format!("mount {target}: {why}{hint}")),
            ELOOP if step == StepKind::MountTarget => {
                (Class::InvalidArgument, format!("mount {target}: a symbolic link is in its place"))
            }
            // Detached copies of namespace files cannot be attached.
            ELOOP if step == StepKind::MountAttach => {
                let reason = "a namespace file is mounted below the source";
                (Class::InvalidArgument, format!("mount {target}: {reason}"))
            }
            _ => (Class::Internal, format!("mount {target}: {why}")),
        };
        Failure { step, class, message }
    }
}

/// The sentence for a hook that failed; `hooks` may be unknown to who tells.
fn hook_failure(point: &str, hooks: &[HookPlan], record: Record) -> Failure {
    let Record { step, index, errno } = record;
    let path = at(hooks, index).map(|hook| format!(" {}", quoted(Some(&hook.path))));
    let why = match step {
        StepKind::CreateContainerHookStatus | StepKind::StartContainerHookStatus => match errno {
            137 => "killed".to_owned(),
            status => format!("exit status {status}"),
        },
        _ if errno == ETIMEDOUT => "it took longer than its timeout".to_owned(),
        _ => cause(errno),
    };
    let message = format!("run {point} hook #{index}{}: {why}", path.unwrap_or_default());
    Failure { step, class: Class::Internal, message }
}

impl HookPlan {
    /// The sentence for a hook of `point` that a parent has called: `status` is its exit status, or nothing if it could
    /// not be started because of `errno`.
    pub fn explain(&self, point: &str, index: usize, status: Option<i32>, errno: i32) -> Failure {
        let (step, errno) = match status {
            Some(status) => (StepKind::CreateContainerHookStatus, status),
            None => (StepKind::CreateContainerHook, errno),
        };
        let index = u32::try_from(index).unwrap_or(u32::MAX);
        let path = format!(" {}", quoted(Some(&self.path)));
        let failure = hook_failure(point, &[], Record { step, index, errno });
        let named = failure.message.replacen(": ", &format!("{path}: "), 1);
        Failure { message: named, ..failure }
    }
}

impl ProcessPlan {
    /// What the record says about a process with this plan.
    pub fn explain(&self, record: Record) -> Failure {
        let Record { step, index, errno } = record;
        let why = cause(errno);
        let program = self.argv.first().map(|name| name.to_string_lossy()).unwrap_or_default();
        let (class, message) = match step {
            StepKind::FindProgram => (command_class(errno), self.not_found(&program, errno)),
            StepKind::Execute => {
                let found = at(&self.candidates, index);
                let found = found.map(|path| path.to_string_lossy()).unwrap_or_default();
                (command_class(errno), format!("exec {found}: {why}"))
            }
            StepKind::ChangeDirectory | StepKind::MakeDirectory => {
                let cwd = quoted(Some(&self.cwd));
                let text = format!("chdir to cwd ({cwd}) set in config.json failed: {why}");
                (command_class(errno), text)
            }
            StepKind::DirectoryOutside => {
                let cwd = quoted(Some(&self.cwd));
                (
                    Class::InvalidArgument,
                    format!("chdir to cwd ({cwd}): it is outside the container"),
                )
            }
            StepKind::Rlimit => {
                let name = at(&self.rlimits, index).map_or("", |(resource, _)| resource.name());
                (Class::InvalidArgument, format!("set resource limit {name}: {why}"))
            }
            StepKind::User => (Class::InvalidArgument, format!("set user {}: {why}", self.uid)),
            StepKind::Group => (Class::InvalidArgument, format!("set group {}: {why}", self.gid)),
            StepKind::OomScore => {
                let score = self.oom_score_adj.unwrap_or_default();
                (Class::InvalidArgument, format!("set oom score {score}: {why}"))
            }
            StepKind::Label => {
                let label = self
                    .label
                    .as_ref()
                    .map(|label| label.text().to_string_lossy())
                    .unwrap_or_default();
                (Class::InvalidArgument, format!("set security label {label:?}: {why}"))
            }
            StepKind::StartContainerHook | StepKind::StartContainerHookStatus => {
                return hook_failure("startContainer", &[], record);
            }
            other => (Class::Internal, format!("{}: {why}", plain(other))),
        };
        Failure { step, class, message }
    }

    fn not_found(&self, program: &str, errno: i32) -> String {
        let why = cause(errno);
        match (self.search, errno) {
            (Search::Path, _) => {
                format!("exec: {program:?}: executable file not found in $PATH")
            }
            (Search::Exact, ENOENT | ENOTDIR | ELOOP) => {
                format!("exec: {program:?}: stat {program}: {why}")
            }
            (Search::Exact, _) => format!("exec: {program:?}: {why}"),
        }
    }
}

/// Docker's exit code 127 or 126, by what kept the program from running.
fn command_class(errno: i32) -> Class {
    match errno {
        ENOENT | ENOTDIR | ELOOP => Class::CommandNotFound,
        EACCES | EISDIR | ENOEXEC => Class::CommandNotExecutable,
        _ => Class::Internal,
    }
}

/// What a step without an object of its own does.
fn plain(step: StepKind) -> &'static str {
    match step {
        StepKind::JoinCgroup => "join cgroup",
        StepKind::JoinNamespace => "join namespace",
        StepKind::Clone => "make process in the container",
        StepKind::WaitForMaps => "wait for id maps",
        StepKind::BecomeRoot => "become root of the user namespace",
        StepKind::TimeNamespace => "make time namespace",
        StepKind::UnshareCgroup => "make cgroup namespace",
        StepKind::Session => "make session",
        StepKind::Stdio => "set up standard streams",
        StepKind::PrivateMounts => "make mounts private",
        StepKind::AttachRoot => "attach root file system",
        StepKind::OpenProc => "make procfs",
        StepKind::Console => "set up terminal",
        StepKind::RootReadonly => "make root file system read-only",
        StepKind::PivotRoot => "change root",
        StepKind::RootPropagation => "set propagation of the root",
        StepKind::Domainname => "set domain name",
        StepKind::Keyring => "join session keyring",
        StepKind::Personality => "set personality",
        StepKind::Scheduler => "set scheduler",
        StepKind::IoPriority => "set I/O priority",
        StepKind::MemoryPolicy => "set memory policy",
        StepKind::Affinity => "set CPU affinity",
        StepKind::Gate => "wait for start",
        StepKind::Preserve => "pass descriptors on",
        StepKind::NoNewPrivs => "set no_new_privs",
        StepKind::Listener => "hand the filter's listener over",
        StepKind::Seccomp => "load system call filter",
        StepKind::Bounding => "limit capabilities",
        StepKind::Groups => "set supplementary groups",
        StepKind::Capabilities => "set capabilities",
        StepKind::CloseDescriptors => "close descriptors",
        _ => "start process",
    }
}
