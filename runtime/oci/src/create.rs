//! Making a container whose process waits for its start.
//!
//! ```text
//! everything that can be wrong with the bundle is found     nothing is there
//! <root>/<id>, locked                                       an empty directory
//! state.json: where the cgroup will be                      the intent: from here on `delete --force` finds all
//! config.json, seccomp.bpf, start (a listening socket)
//! the cgroup with its limits
//! the process, which ends with this program                 in the cgroup before it does anything
//! state.json: the process
//! pid file, console socket, pidfd socket
//! the process is left alone                                 from here on the container lives without this program
//! ```
//!
//! A failure undoes all of it; a kill leaves what is above the line at which it came.

use crate::bundle::{self, Bundle};
use crate::record::{CgroupPlace, OCI_VERSION};
use crate::root::{Entry, Lock, file, write_pid};
use crate::runtime::Runtime;
use crate::streams::{self, Preserved};
use crate::{Error, Id, Process, Record, State, Status, filter, home, view};
use cgroups::Group;
use launch::{
    CgroupJoin, Created, Descriptors, Extras, Host, Launch, Rootfs, StateText, Stdio, Supervisor,
    handover,
};
use plan::{Given, Plan, StepKind};
use rustix::io::Errno;
use spec::oci::{Linux, Seccomp};
use std::ffi::OsStr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use sys::clone::Namespaces;

/// How long the remains of a failed creation may take to disappear.
const UNDO: Duration = Duration::from_secs(10);

/// What `create` is told.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// The bundle.
    pub bundle: PathBuf,
    /// Who gets the terminal's master.
    pub console_socket: Option<PathBuf>,
    /// The file that gets the process's number.
    pub pid_file: Option<PathBuf>,
    /// Who gets the process's pidfd.
    pub pidfd_socket: Option<PathBuf>,
    /// Whether the root is changed by chroot.
    pub no_pivot: bool,
    /// Whether the session keyring stays the caller's.
    pub no_new_keyring: bool,
    /// How many descriptors from 3 up the program gets.
    pub preserve_fds: u32,
}

/// A container whose process waits, and everything that was made for it; it is undone unless it is kept.
pub(crate) struct Made<'r> {
    pub(crate) runtime: &'r Runtime,
    pub(crate) entry: Entry,
    pub(crate) record: Record,
    /// The process; taken when it is started or left.
    pub(crate) created: Option<Created>,
    pub(crate) plan: Box<Plan>,
    group: Option<Group>,
    /// What keeps a scope of systemd alive until the process is in it.
    waiting: Option<systemd::waiting::Waiting>,
    kept: bool,
    _lock: Lock,
}

/// What was found out and opened before anything was made.
struct Prepared {
    bundle: Bundle,
    plan: Plan,
    descriptors: Descriptors,
    place: Option<CgroupPlace>,
    preserved: Preserved,
    console: Option<OwnedFd>,
    pidfd: Option<OwnedFd>,
}

impl Runtime {
    /// Makes the container `id`, which waits for [`Runtime::start`].
    pub fn create(&self, id: &Id, options: &CreateOptions) -> Result<(), Error> {
        let mut made = self.make(id, options, true, true)?;
        let created = made.created.take().ok_or(Error::NotRunning)?;
        created.leave()?;
        made.kept = true;
        self.stage("leave");
        Ok(())
    }

    /// Makes a container; `gated`: another process starts it, `alone`: nobody stays with its terminal.
    pub(crate) fn make(
        &self,
        id: &Id,
        options: &CreateOptions,
        gated: bool,
        alone: bool,
    ) -> Result<Made<'_>, Error> {
        let host = Host::open()?;
        let Prepared { bundle, plan, descriptors, place, preserved, console, pidfd } =
            self.prepare(id, options, alone)?;
        self.tell_what_is_missing(&host, &plan);
        self.stage("check");
        let (entry, lock) = self.root.create(id)?;
        let record = record(id, &bundle, &plan, place)?;
        let plan = Box::new(plan);
        let runtime = self;
        let mut made = Made {
            runtime,
            entry,
            record,
            created: None,
            plan,
            group: None,
            waiting: None,
            kept: false,
            _lock: lock,
        };
        made.entry.write_record(&made.record)?;
        made.entry.write(file::CONFIG, &bundle.text)?;
        let filter = filter_of(&made.plan);
        made.entry.write(file::FILTER, &filter::encode(filter.as_ref()))?;
        self.stage("record");
        made.make_group(&bundle)?;
        let gate = match gated {
            true => Some(launch::gate::bind(made.entry.fd(), file::GATE)?),
            false => None,
        };
        self.stage("cgroup");
        let extras = Extras {
            gate,
            outlives: true,
            preserved: preserved.fds,
            state: Some(state_text(&made.record)),
            supervisor: supervisor(bundle.spec.linux.as_ref(), &made.record)?,
            no_pivot: options.no_pivot,
            times: self.options.timings,
            ..Extras::default()
        };
        made.launch(&host, descriptors, extras)?;
        // The process is in the group, and keeps it.
        made.waiting = None;
        made.classify(&bundle)?;
        made.hand_over(options, console, pidfd)?;
        Ok(made)
    }

    /// Reads and opens; refuses what is wrong.
    fn prepare(&self, id: &Id, options: &CreateOptions, alone: bool) -> Result<Prepared, Error> {
        let preserved = streams::preserved(options.preserve_fds)?;
        let mut bundle = Bundle::load(&options.bundle)?;
        self.stage("read");
        let terminal = check_console(&bundle, options, alone)?;
        let (path, rootfs) = bundle.open_rootfs()?;
        complete_env(&mut bundle, &rootfs, &preserved)?;
        let sources = bundle.open_sources()?;
        let joins = bundle.open_namespaces()?;
        let seccomp = bundle.spec.linux.as_ref().and_then(|linux| linux.seccomp.as_ref());
        let filter = seccomp.map(|seccomp| filter::compiled(&self.root, seccomp)).transpose()?;
        self.stage("filter");
        let given = Given {
            sources: bundle::kinds(&sources)?,
            joined: joins.iter().fold(Namespaces::empty(), |all, (kind, _)| all | *kind),
            cgroups: view::view(&bundle.spec),
            filter: filter.flatten(),
            keyring: (!options.no_new_keyring).then(|| format!("_ses.{id}")),
            administrator: true,
            ..Given::default()
        };
        let plan = Plan::new(&bundle.spec, &given)?;
        let cgroup = bundle.spec.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref());
        let place = match self.options.systemd_cgroup {
            true => CgroupPlace::of_scope(&bundle.spec, id)?,
            false => CgroupPlace::of(cgroup, id)?,
        };
        if bundle.spec.linux.as_ref().is_some_and(|linux| linux.intel_rdt.is_some()) {
            crate::class::check()?;
        }
        let open = |path: &Option<PathBuf>| path.as_deref().map(handover::connect_to).transpose();
        Ok(Prepared {
            plan,
            descriptors: Descriptors {
                rootfs: Rootfs::Path { path: bundle::c_path(path)?, directory: rootfs },
                sources: bundle::given(sources)?,
                joins,
                stdio: if terminal { Stdio::Terminal } else { streams::own()? },
                cgroup: CgroupJoin::None,
            },
            place: Some(place),
            preserved,
            console: open(&options.console_socket)?,
            pidfd: open(&options.pidfd_socket)?,
            bundle,
        })
    }

    pub(crate) fn tell_what_is_missing(&self, host: &Host, plan: &Plan) {
        for name in &plan.process.unknown_caps {
            self.warn(&format!("ignoring unknown capability {name:?}"));
        }
        let new_user = plan.namespaces.new.contains(Namespaces::USER);
        let missing = host.missing(plan.process.caps.bounding, new_user);
        for cap in missing.iter() {
            self.warn(&format!("capability {} is not the runtime's to give: left out", cap.name()));
        }
    }
}

/// The first record: what will be, without a process.
fn record(
    id: &Id,
    bundle: &Bundle,
    plan: &Plan,
    cgroup: Option<CgroupPlace>,
) -> Result<Record, Error> {
    Ok(Record {
        oci_version: OCI_VERSION.to_owned(),
        id: id.as_str().to_owned(),
        process: Process::NONE,
        bundle: bundle.path.clone(),
        rootfs: bundle.rootfs()?,
        created: crate::time::now(),
        annotations: bundle.spec.annotations.clone(),
        cgroup,
        rdt: None,
        own_pids: plan.namespaces.new.contains(Namespaces::PID),
    })
}

/// The state as hooks read it.
fn state_text(record: &Record) -> StateText {
    let record = record.clone();
    StateText::new(move |pid, status| {
        let status = match status {
            "creating" => Status::Creating,
            _ => Status::Created,
        };
        let state = State { pid, status, ..record.state(status) };
        serde_json::to_string(&state).unwrap_or_default()
    })
}

/// Who is asked about system calls, and what he is told (config-linux.md, "The Container Process State").
pub(crate) fn supervisor(
    linux: Option<&Linux>,
    record: &Record,
) -> Result<Option<Supervisor>, Error> {
    let seccomp = linux.and_then(|linux| linux.seccomp.as_ref());
    let Some((seccomp, path)) = seccomp.and_then(|seccomp| {
        let path = seccomp.listener_path.as_deref().filter(|path| !path.is_empty())?;
        notifies(seccomp).then_some((seccomp, path))
    }) else {
        return Ok(None);
    };
    let (record, metadata) = (record.clone(), seccomp.listener_metadata.clone());
    let state = StateText::new(move |pid, _| {
        let state = State { pid, ..record.state(Status::Creating) };
        let text = serde_json::json!({
            "ociVersion": OCI_VERSION,
            "fds": ["seccompFd"],
            "pid": pid,
            "metadata": metadata.clone().unwrap_or_default(),
            "state": state,
        });
        text.to_string()
    });
    Ok(Some(Supervisor { socket: handover::connect_to(Path::new(path))?, state }))
}

fn notifies(seccomp: &Seccomp) -> bool {
    const NOTIFY: &str = "SCMP_ACT_NOTIFY";
    seccomp.default_action == NOTIFY || seccomp.syscalls.iter().any(|rule| rule.action == NOTIFY)
}

fn filter_of(plan: &Plan) -> Option<plan::Filter> {
    let (program, flags) = plan.process.filter.as_ref()?;
    Some(plan::Filter { program: program.clone(), flags: *flags })
}

/// A terminal needs somebody who takes it, and only a terminal does.
fn check_console(bundle: &Bundle, options: &CreateOptions, alone: bool) -> Result<bool, Error> {
    let terminal = bundle.spec.process.as_ref().is_some_and(|process| process.terminal);
    let usage = |text: &str| Err(Error::Usage(text.to_owned()));
    match (terminal, &options.console_socket) {
        (true, None) if alone => {
            usage("cannot allocate tty if runc will detach without setting console socket")
        }
        (false, Some(_)) => {
            usage("cannot use console socket if runc will not detach or allocate tty")
        }
        (true, Some(_)) if !alone => {
            usage("cannot use console socket if runc will not detach or allocate tty")
        }
        _ => Ok(terminal),
    }
}

fn complete_env(bundle: &mut Bundle, rootfs: &OwnedFd, preserved: &Preserved) -> Result<(), Error> {
    if let Some(process) = &mut bundle.spec.process {
        if !home::is_named(&process.env) {
            let root = rustix::io::fcntl_dupfd_cloexec(rootfs, 3)
                .map_err(|errno| Error::system("copy", "root.path", errno))?;
            process.env.push(home::of(root, process.user.uid));
        }
        process.env.extend(preserved.env.iter().cloned());
    }
    Ok(())
}

impl Made<'_> {
    fn make_group(&mut self, bundle: &Bundle) -> Result<(), Error> {
        let Some(place) = &self.record.cgroup else { return Ok(()) };
        let resources = bundle.spec.linux.as_ref().and_then(|linux| linux.resources.as_ref());
        let resources = plan::with_default_devices(resources);
        if place.systemd {
            let (place, group, waiting) =
                crate::scope::start(&bundle.spec, &self.record.id, &resources)?;
            self.record.cgroup = Some(place);
            self.entry.write_record(&self.record)?;
            self.group = Some(group);
            self.waiting = waiting;
            return self.give_group(bundle);
        }
        match place.create(&resources) {
            Ok(group) => self.group = Some(group),
            Err(error) if self.runtime.tolerates_missing_cgroups() => {
                let cause = Error::from(error).sentence();
                self.runtime.debug(&format!("the container gets no cgroup: {cause}"));
                self.record.cgroup = None;
                self.entry.write_record(&self.record)?;
            }
            Err(error) => return Err(error.into()),
        }
        self.give_group(bundle)
    }

    /// Gives the group to the container's user, where that is asked for.
    fn give_group(&self, bundle: &Bundle) -> Result<(), Error> {
        match (&self.group, crate::ownership::owner(&bundle.spec)) {
            (Some(group), Some(uid)) => Ok(group.delegate(uid)?),
            _ => Ok(()),
        }
    }

    /// Puts the process into its class of service.
    fn classify(&mut self, bundle: &Bundle) -> Result<(), Error> {
        let rdt = bundle.spec.linux.as_ref().and_then(|linux| linux.intel_rdt.as_ref());
        if let (Some(rdt), Some(created)) = (rdt, &self.created) {
            self.record.rdt = Some(crate::class::assign(&self.record.id, rdt, created.pid())?);
            self.entry.write_record(&self.record)?;
        }
        Ok(())
    }

    /// Clones the process and records it.
    fn launch(
        &mut self,
        host: &Host,
        mut descriptors: Descriptors,
        extras: Extras,
    ) -> Result<(), Error> {
        if let Some(group) = &self.group {
            descriptors.cgroup = group.join()?.into();
        }
        let launch = Launch::prepare_with(host, (*self.plan).clone(), descriptors, extras)?;
        self.runtime.stage("open");
        let created = launch.create()?;
        self.runtime.stage("set up");
        self.runtime.steps(&created.times());
        let pid = created.pid();
        self.record.process =
            Process::of(pid).ok_or_else(|| Error::system("find", "process", Errno::SRCH))?;
        self.created = Some(created);
        self.entry.write_record(&self.record)?;
        self.runtime.stage("record process");
        self.look_for_program()
    }

    /// Refuses a container whose program is missing, which would otherwise be found out at the start: engines tell people
    /// so by the failure of `create`. Looked at from outside through the container's root, of which nothing is executed.
    fn look_for_program(&self) -> Result<(), Error> {
        let process = &self.plan.process;
        let relative = process.candidates.iter().any(|path| !path.as_bytes().starts_with(b"/"));
        if relative || !self.plan.hooks.start_container.is_empty() {
            return Ok(());
        }
        // Without the right to look, the start finds out.
        let path = format!("/proc/{}/root", self.record.process.pid);
        let Ok(root) = safepath::Root::open(path) else { return Ok(()) };
        let mut errno = Errno::NOENT;
        for candidate in &process.candidates {
            match root.resolve(OsStr::from_bytes(candidate.as_bytes())) {
                Ok(_) => return Ok(()),
                Err(error) => match error.errno() {
                    Some(missing @ (Errno::NOENT | Errno::NOTDIR)) => errno = missing,
                    _ => return Ok(()),
                },
            }
        }
        let step = StepKind::FindProgram;
        let record = plan::Record { step, index: 0, errno: errno.raw_os_error() };
        Err(launch::LaunchError::Step(process.explain(record)).into())
    }

    /// Tells those who were named about the process.
    fn hand_over(
        &self,
        options: &CreateOptions,
        console: Option<OwnedFd>,
        pidfd: Option<OwnedFd>,
    ) -> Result<(), Error> {
        let Some(created) = &self.created else { return Ok(()) };
        if let (Some(socket), Some(master)) = (console, created.console()) {
            handover::send(&socket, "/dev/ptmx", master)?;
        }
        if let Some(socket) = pidfd {
            handover::send(&socket, "pidfd", created.pidfd().as_fd())?;
        }
        if let Some(path) = &options.pid_file {
            write_pid(path, created.pid())?;
        }
        Ok(())
    }

    /// The container stays.
    pub(crate) fn keep(&mut self) {
        self.kept = true;
    }

    fn stop_scope(&self, place: &CgroupPlace) -> Result<(), Error> {
        let text = self.entry.read(file::CONFIG)?.unwrap_or_default();
        crate::scope::stop(&bundle::parse_spec(file::CONFIG, &text)?, &self.record.id, place)
    }

    fn undo(&mut self) {
        // The process is killed and reaped by this.
        self.created = None;
        let emptied = match &self.group {
            Some(group) => group.kill(UNDO).and_then(|()| group.delete(UNDO)),
            None => Ok(()),
        };
        self.waiting = None;
        let scoped = match self.record.cgroup.as_ref().filter(|place| place.systemd) {
            Some(place) if self.group.is_some() => self.stop_scope(place),
            _ => Ok(()),
        };
        let classified = match &self.record.rdt {
            Some(rdt) => rdt.remove(&self.record.id),
            None => Ok(()),
        };
        for error in [scoped, classified].into_iter().filter_map(Result::err) {
            self.runtime.warn(&error.sentence());
        }
        // What cannot be removed stays on record, so that it is found.
        if let Err(error) = emptied {
            self.runtime.warn(&Error::from(error).sentence());
        } else if let Err(error) = self.runtime.root.remove(&self.entry) {
            self.runtime.warn(&error.sentence());
        }
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        if !self.kept {
            self.undo();
        }
    }
}
