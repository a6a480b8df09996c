//! Cgroup v2 by itself: its files in a plain directory, and, where the host has a v2 mount (if only a bare one), the
//! kernel's behaviour in a group of our own there.

use crate::dir::Dir;
use crate::layout::Kind;
use crate::{CgroupError, Group, Join, Layout, Parent, Resources, mountinfo};
use spec::oci::{Cpu, DeviceRule, HugepageLimit, Memory, Pids};
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsRawFd;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(20);

fn layout(base: &Path) -> Layout {
    Layout::of(vec![(Kind::V2, Dir::open_path(base, "").unwrap())]).unwrap()
}

/// A directory that looks like a v2 hierarchy with a group `docker/one`; nothing in it behaves like one.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new(files: &[(&str, &str)]) -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        for group in ["", "docker", "docker/one"] {
            std::fs::create_dir_all(fake.0.path().join(group)).unwrap();
            fake.put(group, "cgroup.controllers", "cpuset cpu io memory pids misc");
            fake.put(group, "cgroup.subtree_control", "");
        }
        for (file, content) in files {
            fake.put("docker/one", file, content);
        }
        fake
    }

    fn put(&self, group: &str, file: &str, content: &str) {
        std::fs::write(self.0.path().join(group).join(file), content).unwrap();
    }

    fn get(&self, group: &str, file: &str) -> String {
        std::fs::read_to_string(self.0.path().join(group).join(file)).unwrap()
    }

    /// As the kernel shows controllers that were handed down.
    fn open(&self) -> Group {
        self.put("docker", "cgroup.subtree_control", "cpuset cpu io memory pids misc");
        layout(self.0.path()).parent("docker").unwrap().open("one").unwrap().unwrap()
    }
}

#[test]
fn controllers_are_handed_down_once_by_every_group_above() {
    let fake = Fake::new(&[]);
    layout(fake.0.path()).parent("/docker").unwrap();
    for group in ["", "docker"] {
        assert_eq!(
            fake.get(group, "cgroup.subtree_control"),
            "+cpuset +cpu +io +memory +pids +misc"
        );
        fake.put(group, "cgroup.subtree_control", "pids memory io cpu cpuset misc");
    }
    layout(fake.0.path()).parent("docker").unwrap();
    assert_eq!(fake.get("", "cgroup.subtree_control"), "pids memory io cpu cpuset misc");
}

#[test]
fn limits_are_written_to_the_files_of_v2() {
    let files = [
        "memory.max",
        "memory.swap.max",
        "memory.low",
        "pids.max",
        "cpu.weight",
        "io.weight",
        "cpuset.cpus",
    ];
    let fake = Fake::new(&files.map(|file| (file, "")));
    fake.put("docker/one", "cpu.max", "20000 100000");
    let resources = Resources {
        memory: Some(Memory {
            limit: Some(100),
            swap: Some(300),
            reservation: Some(50),
            ..Memory::default()
        }),
        cpu: Some(Cpu {
            shares: Some(1024),
            period: Some(50_000),
            cpus: Some("0-1".into()),
            ..Cpu::default()
        }),
        pids: Some(Pids { limit: Some(7) }),
        block_io: Some(spec::oci::BlockIo { weight: Some(1000), ..Default::default() }),
        ..Resources::default()
    };
    fake.open().update(&resources).unwrap();
    let values = files.map(|file| fake.get("docker/one", file));
    assert_eq!(values, ["100", "200", "50", "7", "100", "10000", "0-1"]);
    // The quota that was there remains with the new period.
    assert!(fake.get("docker/one", "cpu.max").starts_with("20000 50000"));
}

#[test]
fn a_limit_of_swap_needs_the_file_unless_it_asks_for_none() {
    let fake = Fake::new(&[("memory.max", "")]);
    let group = fake.open();
    let update = |swap| {
        let memory = Memory { limit: Some(100), swap: Some(swap), ..Memory::default() };
        group.update(&Resources { memory: Some(memory), ..Resources::default() })
    };
    assert!(update(100).is_ok());
    assert!(update(-1).is_ok());
    assert!(
        matches!(update(150).unwrap_err(), CgroupError::Write { file, .. } if file == "memory.swap.max")
    );
}

#[test]
fn statistics_are_read_from_the_files_of_v2() {
    let fake = Fake::new(&[
        (
            "cpu.stat",
            "usage_usec 30\nuser_usec 20\nsystem_usec 10\nnr_periods 4\nnr_throttled 2\nthrottled_usec 5\n",
        ),
        ("memory.current", "4096\n"),
        ("memory.peak", "8192\n"),
        ("memory.max", "max\n"),
        ("memory.swap.current", "512\n"),
        ("memory.stat", "anon 1\nfile 2\n"),
        ("memory.events", "low 0\nhigh 0\nmax 9\noom 3\noom_kill 2\noom_group_kill 0\n"),
        ("pids.current", "3\n"),
        ("pids.max", "10\n"),
        ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n253:1 \n"),
    ]);
    let group = fake.open();
    let stats = group.stats().unwrap();
    let cpu = stats.cpu.unwrap();
    assert_eq!((cpu.total, cpu.user, cpu.kernel), (30_000, 20_000, 10_000));
    assert_eq!((cpu.periods, cpu.throttled_periods, cpu.throttled), (4, 2, 5_000));
    let memory = stats.memory.unwrap();
    assert_eq!(
        (memory.usage, memory.max_usage, memory.limit, memory.failures),
        (4096, 8192, None, 9)
    );
    assert_eq!((memory.swap, memory.oom_kills, memory.details["file"]), (Some(512), 2, 2));
    assert_eq!(group.oom_kills().unwrap(), 2);
    assert_eq!(stats.pids.unwrap().limit, Some(10));
    let io = |entries: Vec<crate::IoEntry>| -> Vec<_> {
        entries.into_iter().map(|entry| (entry.major, entry.operation, entry.value)).collect()
    };
    let three = |values: [u64; 3]| -> Vec<_> {
        ["read", "write", "discard"]
            .map(str::to_owned)
            .into_iter()
            .zip(values)
            .map(|(word, value)| (8, word, value))
            .collect()
    };
    assert_eq!(io(stats.io_bytes), three([1, 2, 5]));
    assert_eq!(io(stats.io_operations), three([3, 4, 6]));
}

#[test]
fn pressure_misc_and_swap_are_read_from_the_files_of_v2() {
    let fake = Fake::new(&[
        ("cpu.stat", "usage_usec 1\nnr_bursts 3\nburst_usec 4\n"),
        (
            "cpu.pressure",
            "some avg10=1.50 avg60=0.25 avg300=0.00 total=17\nfull avg10=0.00 avg60=0.00 avg300=0.01 total=2\n",
        ),
        ("memory.current", "100\n"),
        ("memory.max", "1000\n"),
        ("memory.swap.current", "30\n"),
        ("memory.swap.max", "500\n"),
        ("memory.swap.peak", "40\n"),
        ("misc.current", "sev 3\nsev_es 0\n"),
        ("misc.events", "sev.max 2\n"),
        ("io.stat", "8:0 rbytes=1 cost.usage=9 cost.wait=8 cost.indebt=7 cost.indelay=6\n"),
    ]);
    let stats = fake.open().stats().unwrap();
    let cpu = stats.cpu.unwrap();
    assert_eq!((cpu.burst_periods, cpu.burst), (3, 4000));
    let pressure = stats.cpu_pressure.unwrap();
    let some = pressure.some;
    assert_eq!((some.average_10, some.average_60, some.average_300, some.total), (150, 25, 0, 17));
    assert_eq!((pressure.full.average_300, pressure.full.total), (1, 2));
    assert_eq!(stats.memory_pressure, None);
    let memory = stats.memory.unwrap();
    let with_swap = memory.with_swap.unwrap();
    assert_eq!((with_swap.usage, with_swap.limit), (130, Some(1500)));
    let alone = memory.swap_alone.unwrap();
    assert_eq!((alone.usage, alone.max_usage, alone.limit), (30, 40, Some(500)));
    assert!(memory.hierarchical);
    assert_eq!(stats.misc["sev"], crate::MiscStats { usage: 3, events: 2 });
    let details = stats.io_details;
    let first = |table: Vec<crate::IoEntry>| table[0].value;
    assert_eq!(first(details.cost_usage), 9);
    assert_eq!(first(details.cost_debt), 7);
    assert_eq!(first(details.cost_delay), 6);
}

#[test]
fn a_limit_below_the_use_is_refused_only_where_this_is_asked_for() {
    let fake =
        Fake::new(&[("memory.max", ""), ("memory.current", "4096\n"), ("memory.swap.max", "")]);
    let group = fake.open();
    let update = |limit, swap, check| {
        let memory =
            Memory { limit: Some(limit), swap, check_before_update: check, ..Memory::default() };
        group.update(&Resources { memory: Some(memory), ..Resources::default() })
    };
    let error = update(4096, None, Some(true)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "set the memory limit of cgroup docker/one to 4096 bytes: 4096 bytes are in use"
    );
    assert_eq!(error.class(), spec::Class::Conflict);
    assert_eq!(fake.get("docker/one", "memory.max"), "");
    assert!(
        update(4000, Some(4090), Some(true))
            .unwrap_err()
            .to_string()
            .starts_with("set the limit of memory and swap of")
    );
    for (limit, check) in [(4096, None), (4096, Some(false)), (4097, Some(true)), (-1, Some(true))]
    {
        assert!(update(limit, None, check).is_ok(), "{limit} {check:?}");
    }
}

#[test]
fn unified_keys_need_a_controller_that_the_group_has() {
    let fake = Fake::new(&[("memory.high", ""), ("misc.max", ""), ("cgroup.max.depth", "")]);
    let group = fake.open();
    let update = |file: &str, value: &str| {
        let unified = [(file.to_owned(), value.to_owned())].into();
        group.update(&Resources { unified, ..Resources::default() })
    };
    for (file, value) in [("memory.high", "99"), ("misc.max", "sev 1"), ("cgroup.max.depth", "3")] {
        update(file, value).unwrap();
        assert_eq!(fake.get("docker/one", file), value);
    }
    let errors = [
        (
            "hugetlb.1GB.max",
            "set hugetlb.1GB.max of cgroup docker/one: the controller hugetlb is not available",
        ),
        (
            "invalid.max",
            "set invalid.max of cgroup docker/one: the controller invalid is not available",
        ),
        ("memory/max", "invalid unified: \"memory/max\" is not a file's name: it has a slash"),
        ("cgroup.freeze", "invalid unified: \"cgroup.freeze\" is not a controller's file"),
        ("memory.invalid", "write \"1\" to memory.invalid of cgroup docker/one"),
    ];
    for (file, message) in errors {
        assert_eq!(update(file, "1").unwrap_err().to_string(), message);
    }
}

#[test]
fn a_group_is_given_to_a_user_with_the_files_that_the_kernel_lists_and_no_others() {
    use std::os::unix::fs::MetadataExt;
    let fake = Fake::new(&[
        ("cgroup.procs", ""),
        ("cgroup.threads", ""),
        ("memory.max", ""),
        ("pids.max", ""),
    ]);
    fake.open().delegate(7007).unwrap();
    let owner =
        |file: &str| std::fs::metadata(fake.0.path().join("docker/one").join(file)).unwrap().uid();
    for file in [".", "cgroup.procs", "cgroup.threads", "cgroup.subtree_control"] {
        assert_eq!(owner(file), 7007, "{file}");
    }
    for file in ["memory.max", "pids.max", "cgroup.controllers"] {
        assert_eq!(owner(file), 0, "{file}");
    }
}

#[test]
fn a_change_of_memory_events_makes_the_watch_readable() {
    let fake = Fake::new(&[("memory.events", "oom_kill 0\n")]);
    let group = fake.open();
    let watch = group.watch_oom().unwrap();
    let readable = || {
        let mut fds = [rustix::event::PollFd::new(&watch, rustix::event::PollFlags::IN)];
        rustix::event::poll(&mut fds, Some(&rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 }))
            .unwrap()
            == 1
    };
    assert!(!readable());
    fake.put("docker/one", "memory.events", "oom_kill 1\n");
    assert!(readable());
    watch.drain();
    assert!(!readable());
}

#[test]
fn freezing_that_the_kernel_never_reports_ends_at_its_deadline_and_is_undone() {
    let fake = Fake::new(&[("cgroup.freeze", ""), ("cgroup.events", "populated 1\nfrozen 0\n")]);
    let error = fake.open().freeze(Duration::from_millis(2)).unwrap_err();
    assert_eq!(error.to_string(), "freeze cgroup docker/one: not done within 2ms");
    assert_eq!(fake.get("docker/one", "cgroup.freeze"), "0");
}

/// A group of our own in the host's v2 mount, as the base of a v2 layout.
struct Real {
    base: PathBuf,
    parent: Option<Parent>,
}

impl Real {
    fn new(name: &str) -> Option<Self> {
        let mountinfo = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
        let mounts = mountinfo::parse_mounts(&mountinfo);
        let unified = mounts.into_iter().find(|mounted| mounted.controllers.is_none())?;
        let base = unified.point.join(format!("coffer-test-{}-{name}", std::process::id()));
        std::fs::create_dir(&base).unwrap();
        let parent = layout(&base).parent("docker").unwrap();
        Some(Self { base, parent: Some(parent) })
    }

    fn create(&self, resources: &Resources) -> Group {
        self.parent.as_ref().unwrap().create("one", resources).unwrap()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        let Some(parent) = self.parent.take() else { return };
        if let Ok(Some(group)) = parent.open("one") {
            group.kill(SOON).unwrap_or_default();
            group.delete(SOON).unwrap_or_default();
        }
        parent.remove().unwrap_or_default();
        std::fs::remove_dir(&self.base).unwrap_or_default();
    }
}

struct Shell(Child, BufReader<std::process::ChildStdout>);

impl Shell {
    fn new(group: &Group, script: &str) -> Self {
        let Join::V2(dir) = group.join().unwrap() else { panic!("not v2") };
        let join =
            format!("echo 0 > /proc/{}/fd/{}/cgroup.procs", std::process::id(), dir.as_raw_fd());
        let mut child = Command::new("/bin/sh")
            .args(["-c", &format!("{join} && echo joined\n{script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut shell = Self(child, output);
        assert_eq!(shell.line(), "joined");
        shell
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ask(&mut self, line: &str) -> String {
        self.0.stdin.as_mut().unwrap().write_all(format!("{line}\n").as_bytes()).unwrap();
        self.line()
    }
}

#[test]
fn the_kernel_freezes_counts_and_kills_a_group_of_v2() {
    let Some(real) = Real::new("life") else { return };
    let group = real.create(&Resources::default());
    let mut shell = Shell::new(&group, "while read line; do echo $line; done");
    assert_eq!(group.pids().unwrap(), [shell.0.id().cast_signed()]);
    group.freeze(SOON).unwrap();
    assert!(group.is_frozen().unwrap());
    group.thaw(SOON).unwrap();
    assert_eq!(shell.ask("alive"), "alive");
    assert!(group.stats().unwrap().cpu.unwrap().total > 0);
    group.freeze(SOON).unwrap();
    group.kill(SOON).unwrap();
    assert_eq!(shell.0.wait().unwrap().signal(), Some(9));
    std::fs::create_dir(real.base.join("docker/one/inner")).unwrap();
    group.delete(SOON).unwrap();
    assert!(!real.base.join("docker/one").exists());
}

#[test]
fn the_kernel_refuses_devices_by_our_program_and_a_new_one_takes_its_place() {
    let Some(real) = Real::new("devices") else { return };
    let rule = |minor| DeviceRule {
        allow: true,
        kind: Some("c".into()),
        major: Some(1),
        minor: Some(minor),
        access: Some("rw".into()),
    };
    let with = |minors: &[i64]| Resources {
        devices: minors.iter().map(|minor| rule(*minor)).collect(),
        ..Resources::default()
    };
    let group = real.create(&with(&[3, 5]));
    let script = "while read device; do (: < $device) 2>/dev/null && echo yes || echo no; done";
    let mut shell = Shell::new(&group, script);
    assert_eq!(
        ["/dev/null", "/dev/zero", "/dev/full"].map(|device| shell.ask(device)),
        ["yes", "yes", "no"]
    );
    group.update(&with(&[3, 7])).unwrap();
    assert_eq!(
        ["/dev/null", "/dev/zero", "/dev/full"].map(|device| shell.ask(device)),
        ["yes", "no", "yes"]
    );
    assert_eq!(sys::bpf::query_device_programs(group.v2().unwrap()).unwrap().len(), 1);
}

#[test]
fn the_kernel_limits_huge_pages_and_counts_them() {
    let Some(real) = Real::new("hugetlb") else { return };
    let size = ["2MB", "64KB", "32MB"]
        .into_iter()
        .find(|size| real.base.join(format!("docker/hugetlb.{size}.max")).exists());
    let Some(size) = size else { return };
    let limit = HugepageLimit { page_size: size.to_owned(), limit: 0 };
    let resources = Resources { hugepage_limits: vec![limit], ..Resources::default() };
    let group = real.create(&resources);
    let get = |file: &str| {
        std::fs::read_to_string(real.base.join(format!("docker/one/hugetlb.{size}.{file}")))
            .unwrap()
    };
    assert_eq!((get("max").trim(), get("rsvd.max").trim()), ("0", "0"));
    let stats = group.stats().unwrap();
    assert_eq!(stats.hugetlb[size], crate::HugetlbStats::default());
    let unknown = HugepageLimit { page_size: "3MB".to_owned(), limit: 1 };
    let resources = Resources { hugepage_limits: vec![unknown], ..Resources::default() };
    assert_eq!(
        group.update(&resources).unwrap_err().to_string(),
        "write \"1\" to hugetlb.3MB.max of cgroup docker/one"
    );
}

#[test]
fn a_user_who_was_given_a_group_makes_groups_in_it_and_cannot_lift_its_limits() {
    let Some(real) = Real::new("delegate") else { return };
    let group = real.create(&Resources::default());
    group.delegate(7007).unwrap();
    let path = real.base.join("docker/one");
    let script = format!(
        "mkdir {0}/inner && echo made; (echo 1 > {0}/cgroup.freeze) 2>/dev/null || echo kept",
        path.display()
    );
    let mut shell = Command::new("setpriv");
    shell.args(["--reuid=7007", "--clear-groups", "sh", "-c", &script]);
    let output = shell.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "made\nkept\n");
    group.delete(SOON).unwrap();
}
