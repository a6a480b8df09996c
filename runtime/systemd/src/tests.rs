//! The driver with a service manager that is none: a program of this test behind a real message bus, and directly.

use crate::bus::{Bus, Method};
use crate::message::{self, FIXED, Kind, Message};
use crate::scope::{self, Request};
use crate::wire::Value;
use crate::{Manager, SystemdError, Unit};
use cgroups::{Base, Layout, Mode};
use spec::oci::{Cpu, Memory, Pids, Resources};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What the false manager has been asked, and how it behaves.
#[derive(Default)]
struct Facts {
    calls: Vec<String>,
    properties: BTreeMap<String, Value>,
    /// How many more times a unit of this name exists already.
    exists: u32,
    /// How the next jobs end; `done` if nothing is said.
    result: Option<&'static str>,
    /// Whether jobs never end.
    silent: bool,
    /// The path that it tells of every unit.
    group: String,
    serial: u32,
}

type Shared = Arc<Mutex<Facts>>;

/// Answers one call; the signals come before the answer, as they may.
fn answer(facts: &Shared, call: &Message) -> Vec<Message> {
    let mut facts = facts.lock().unwrap();
    let words: Vec<&str> = call
        .body
        .iter()
        .filter_map(|value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
        .collect();
    facts.calls.push(format!("{} {}", call.member, words.join(" ")).trim().to_owned());
    facts.serial += 10;
    let serial = facts.serial;
    let reply =
        |body| Message { reply_to: call.serial, body, ..Message::new(Kind::Answer, serial) };
    let error = |name: &str| Message {
        reply_to: call.serial,
        error: format!("org.freedesktop.systemd1.{name}"),
        body: vec![Value::text(format!("{name}, says the manager"))],
        ..Message::new(Kind::Error, serial)
    };
    let job = Value::Path(format!("/org/freedesktop/systemd1/job/{serial}"));
    let result = facts.result.unwrap_or("done");
    let removed = |unit: &str, job: Value| Message {
        path: "/org/freedesktop/systemd1".into(),
        interface: "org.freedesktop.systemd1.Manager".into(),
        member: "JobRemoved".into(),
        body: vec![Value::U32(serial), job, Value::text(unit), Value::text(result)],
        ..Message::new(Kind::Signal, serial + 1)
    };
    match call.member.as_str() {
        "Subscribe" | "ResetFailedUnit" => vec![reply(vec![])],
        "Get" => {
            let text = if words[1] == "Version" { "252.38-1~deb12u1" } else { &facts.group };
            vec![reply(vec![Value::Variant(Box::new(Value::text(text)))])]
        }
        "StartTransientUnit" if facts.exists > 0 => {
            facts.exists -= 1;
            vec![error("UnitExists")]
        }
        "StartTransientUnit" | "SetUnitProperties" => {
            let list = call.body.iter().find_map(|value| match value {
                Value::List(of, items) if of == "(sv)" => Some(items),
                _ => None,
            });
            for property in list.into_iter().flatten() {
                if let Value::Struct(pair) = property
                    && let [Value::Text(name), Value::Variant(value)] = pair.as_slice()
                {
                    facts.properties.insert(name.clone(), (**value).clone());
                }
            }
            if call.member == "SetUnitProperties" {
                return vec![reply(vec![])];
            }
            if facts.silent {
                return vec![reply(vec![job])];
            }
            // That of another unit comes in between.
            let other =
                removed("other.scope", Value::Path("/org/freedesktop/systemd1/job/1".into()));
            vec![other, removed(words[0], job.clone()), reply(vec![job])]
        }
        "StopUnit" if facts.properties.is_empty() => vec![error("NoSuchUnit")],
        "StopUnit" => vec![reply(vec![job.clone()]), removed(words[0], job)],
        _ => vec![error("UnknownMethod")],
    }
}

fn read(stream: &mut UnixStream) -> Option<Message> {
    let mut bytes = vec![0; FIXED];
    stream.read_exact(&mut bytes).ok()?;
    bytes.resize(message::length(&bytes)?, 0);
    stream.read_exact(&mut bytes[FIXED..]).ok()?;
    message::decode(&bytes)
}

/// A line, byte by byte: nothing behind it may be taken.
fn line(stream: &mut UnixStream) -> String {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap().trim_end().to_owned()
}

/// A manager that listens itself, as systemd does at /run/systemd/private.
fn listen(path: &std::path::Path, facts: Shared) {
    let listener = UnixListener::bind(path).unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, facts) = (stream.unwrap(), facts.clone());
            assert_eq!(line(&mut stream), "\0AUTH EXTERNAL");
            stream.write_all(b"DATA\r\n").unwrap();
            assert_eq!(line(&mut stream), "DATA");
            stream.write_all(b"OK 0123456789abcdef0123456789abcdef\r\n").unwrap();
            assert_eq!(line(&mut stream), "BEGIN");
            while let Some(call) = read(&mut stream) {
                for message in answer(&facts, &call) {
                    stream.write_all(&message.encode()).unwrap();
                }
            }
        }
    });
}

/// A message bus of this test's own; `None` where the program is not installed.
struct Daemon {
    child: Child,
    address: String,
    /// Has the socket.
    _dir: tempfile::TempDir,
}

impl Daemon {
    fn start() -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let config = dir.path().join("bus.conf");
        let text = format!(
            "<busconfig><type>session</type><listen>unix:path={}/bus</listen><auth>EXTERNAL</auth>\
             <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/>\
             <allow send_destination=\"*\" eavesdrop=\"true\"/><allow eavesdrop=\"true\"/></policy></busconfig>",
            dir.path().display()
        );
        std::fs::write(&config, text).unwrap();
        let child = Command::new("dbus-daemon")
            .arg("--nofork")
            .arg("--nopidfile")
            .arg("--print-address=1")
            .arg(format!("--config-file={}", config.display()))
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut child = child.ok()?;
        let mut address = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
        Some(Self { child, address: address.trim().to_owned(), _dir: dir })
    }

    /// The false manager, under its name on the bus.
    fn serve(&self, facts: Shared) {
        let mut bus = Bus::connect(&self.address, false).unwrap();
        let request = Method {
            destination: "org.freedesktop.DBus",
            path: "/org/freedesktop/DBus",
            interface: "org.freedesktop.DBus",
            member: "RequestName",
        };
        let name = vec![Value::text("org.freedesktop.systemd1"), Value::U32(4)];
        assert_eq!(bus.call(request, name, "").unwrap(), [Value::U32(1)]);
        let mut stream = bus.into_stream();
        stream.set_read_timeout(None).unwrap();
        std::thread::spawn(move || {
            while let Some(call) = read(&mut stream) {
                if call.kind != Kind::Call {
                    continue;
                }
                for mut message in answer(&facts, &call) {
                    if message.kind != Kind::Signal {
                        message.destination = call.sender.clone();
                    }
                    stream.write_all(&message.encode()).unwrap();
                }
            }
        });
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// A unit in a slice of its own.
fn unit() -> Unit {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let path = format!("coffertest{}n{number}.slice:coffer:box", std::process::id());
    Unit::new(Some(&path), "", false).unwrap()
}

/// Everything that is asked of a manager, and what is told of it.
fn life(manager: &mut Manager, facts: &Shared) {
    assert_eq!(manager.version(), 252);
    let unit = unit();
    facts.lock().unwrap().exists = 1;
    manager.start(&unit, &[crate::Property::new("Delegate", Value::Bool(true))]).unwrap();
    manager.set(&unit, &[crate::Property::new("TasksMax", Value::U64(9))]).unwrap();
    manager.set(&unit, &[]).unwrap();
    facts.lock().unwrap().group = "/test.slice/x.scope".into();
    assert_eq!(manager.group(&unit).unwrap(), "/test.slice/x.scope");
    facts.lock().unwrap().result = Some("failed");
    let error = manager.start(&unit, &[]).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("StartTransientUnit of systemd for {}: the job ended as \"failed\"", unit.name())
    );
    facts.lock().unwrap().exists = 2;
    let error = manager.start(&unit, &[]).unwrap_err();
    assert_eq!(error.class(), spec::Class::Conflict);
    assert!(
        error
            .to_string()
            .ends_with("UnitExists, says the manager (org.freedesktop.systemd1.UnitExists)")
    );
    manager.stop(&unit).unwrap();
    let name = unit.name();
    let facts = facts.lock().unwrap();
    assert_eq!(facts.properties["Delegate"], Value::Bool(true));
    assert_eq!(facts.properties["TasksMax"], Value::U64(9));
    let expected = [
        "Subscribe".to_owned(),
        "Get org.freedesktop.systemd1.Manager Version".to_owned(),
        format!("StartTransientUnit {name} replace"),
        format!("ResetFailedUnit {name}"),
        format!("StartTransientUnit {name} replace"),
        format!("SetUnitProperties {name}"),
        "Get org.freedesktop.systemd1.Scope ControlGroup".to_owned(),
        format!("StartTransientUnit {name} replace"),
        format!("ResetFailedUnit {name}"),
        format!("StartTransientUnit {name} replace"),
        format!("ResetFailedUnit {name}"),
        format!("StartTransientUnit {name} replace"),
        format!("StopUnit {name} replace"),
        format!("ResetFailedUnit {name}"),
    ];
    assert_eq!(facts.calls, expected);
}

#[test]
fn a_manager_behind_a_real_bus_is_asked_for_a_whole_life() {
    let Some(daemon) = Daemon::start() else { return };
    let facts = Shared::default();
    daemon.serve(facts.clone());
    life(&mut Manager::connect_at(&daemon.address, false).unwrap(), &facts);
}

#[test]
fn a_bus_without_a_manager_says_so() {
    let Some(daemon) = Daemon::start() else { return };
    let error = Manager::connect_at(&daemon.address, false).unwrap_err();
    assert!(matches!(error, SystemdError::Answer { call: "Subscribe", .. }), "{error}");
    assert!(error.to_string().contains("org.freedesktop.systemd1"), "{error}");
}

/// A manager without a bus.
fn direct() -> (tempfile::TempDir, Shared, Manager) {
    let (dir, facts) = (tempfile::tempdir().unwrap(), Shared::default());
    let path = dir.path().join("private");
    listen(&path, facts.clone());
    let manager = Manager::connect_at(&format!("unix:path={}", path.display()), true).unwrap();
    (dir, facts, manager)
}

#[test]
fn a_manager_at_its_own_socket_is_asked_for_a_whole_life() {
    let (_dir, facts, mut manager) = direct();
    life(&mut manager, &facts);
}

#[test]
fn a_unit_that_is_not_there_is_stopped_already() {
    let (_dir, facts, mut manager) = direct();
    manager.stop(&unit()).unwrap();
    assert!(facts.lock().unwrap().calls.last().unwrap().starts_with("StopUnit"));
}

#[test]
fn a_job_that_never_ends_is_given_up() {
    let (_dir, facts, mut manager) = direct();
    facts.lock().unwrap().silent = true;
    manager.set_patience(Duration::from_millis(20));
    let (unit, error) = (unit(), manager.start(&unit(), &[]).unwrap_err());
    assert!(matches!(error, SystemdError::Deadline { .. }), "{error}");
    assert_eq!(error.class(), spec::Class::DeadlineExceeded);
    assert!(error.to_string().ends_with("no answer within 20ms"), "{error} {unit:?}");
}

#[test]
fn a_server_that_speaks_something_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("bus");
    let listener = UnixListener::bind(&path).unwrap();
    let server = std::thread::spawn(move || {
        for reply in ["REJECTED EXTERNAL\r\n", "DATA\r\nOK x\r\nGET / HTTP/1.1 and much more of it"]
        {
            let (mut stream, _) = listener.accept().unwrap();
            stream.write_all(reply.as_bytes()).unwrap();
            stream.read_to_end(&mut Vec::new()).ok();
        }
    });
    let address = format!("unix:path={}", path.display());
    let error = Manager::connect_at(&address, true).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("connect to systemd at {address}: the bus refuses us: \"REJECTED EXTERNAL\"")
    );
    let error = Manager::connect_at(&address, true).unwrap_err();
    assert!(matches!(error, SystemdError::Protocol { .. }), "{error}");
    server.join().unwrap();
}

/// A group that stands for what a manager makes: in all hierarchies in which systemd would.
struct Scope {
    layout: Layout,
    path: String,
}

impl Scope {
    fn new(unit: &Unit) -> Self {
        let layout = Layout::detect_at(Base::Top).unwrap();
        let path = unit.path().unwrap();
        let (parent, name) = layout.place(&path).unwrap();
        parent.create(name, &Resources::default()).unwrap();
        Self { layout, path }
    }
}

impl Drop for Scope {
    fn drop(&mut self) {
        let slice = self.path.split('/').nth(1).unwrap_or_default();
        if let Ok(Some(group)) = self.layout.open(slice) {
            group.kill(Duration::from_secs(20)).ok();
            group.delete(Duration::from_secs(20)).ok();
        }
    }
}

#[test]
fn a_scope_is_started_with_all_limits_and_changed_and_leaves_nothing() {
    let (_dir, facts, mut manager) = direct();
    let unit = unit();
    let made = Scope::new(&unit);
    facts.lock().unwrap().group.clone_from(&made.path);
    let resources = Resources {
        memory: Some(Memory { limit: Some(64 << 20), ..Memory::default() }),
        cpu: Some(Cpu { quota: Some(33_333), period: Some(100_000), ..Cpu::default() }),
        pids: Some(Pids { limit: Some(7) }),
        ..Resources::default()
    };
    let extra = [crate::Property::new("CollectMode", Value::text("inactive-or-failed"))];
    let request =
        Request { unit: &unit, resources: &resources, extra: &extra, description: "container box" };
    let started = scope::start_around(&mut manager, &made.layout, &request, 4242).unwrap();
    let stats = started.group.stats().unwrap();
    assert_eq!(stats.memory.unwrap().limit, Some(64 << 20));
    assert_eq!(stats.pids.unwrap().limit, Some(7));
    let v2 = made.layout.mode() == Mode::V2;
    {
        let told = &facts.lock().unwrap().properties;
        let yes = Value::Bool(true);
        assert_eq!(told["Slice"], Value::text(unit.slice()));
        assert_eq!(told["PIDs"], Value::list("u", vec![Value::U32(4242)]));
        assert_eq!((&told["Delegate"], &told["MemoryAccounting"]), (&yes, &yes));
        assert_eq!(told["DefaultDependencies"], Value::Bool(false));
        assert_eq!(told["CollectMode"], Value::text("inactive-or-failed"));
        assert_eq!(told["Description"], Value::text("container box"));
        assert_eq!(told[if v2 { "MemoryMax" } else { "MemoryLimit" }], Value::U64(64 << 20));
        assert_eq!(told["CPUQuotaPerSecUSec"], Value::U64(340_000));
    }
    let more = Resources { pids: Some(Pids { limit: Some(9) }), ..Resources::default() };
    scope::update(&mut manager, &made.layout, &unit, &started.group, &more).unwrap();
    assert_eq!(started.group.stats().unwrap().pids.unwrap().limit, Some(9));
    assert_eq!(facts.lock().unwrap().properties["TasksMax"], Value::U64(9));
    scope::stop(&mut manager, &made.layout, &unit, &made.path).unwrap();
    assert!(made.layout.open(&made.path).unwrap().is_none());
}

#[test]
fn a_scope_whose_limits_cannot_be_written_is_stopped_again() {
    let (_dir, facts, mut manager) = direct();
    let unit = unit();
    let made = Scope::new(&unit);
    facts.lock().unwrap().group.clone_from(&made.path);
    let cpu = Cpu { cpus: Some("4000".into()), ..Cpu::default() };
    let resources = Resources { cpu: Some(cpu), ..Resources::default() };
    let request = Request { unit: &unit, resources: &resources, extra: &[], description: "" };
    let error = scope::start_around(&mut manager, &made.layout, &request, 1).unwrap_err();
    assert_eq!(error.to_string(), format!("limit {}", unit.name()));
    let calls = facts.lock().unwrap().calls.join("\n");
    assert!(calls.contains(&format!("StopUnit {}", unit.name())), "{calls}");
    facts.lock().unwrap().group = "/no.slice/nothing.scope".into();
    let request = Request { resources: &Resources::default(), ..request };
    let error = scope::start_around(&mut manager, &made.layout, &request, 1).unwrap_err();
    assert!(matches!(error, SystemdError::NoGroup { .. }), "{error}");
}
