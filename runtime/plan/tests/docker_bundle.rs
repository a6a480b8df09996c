//! Docker's default bundle becomes the expected plan, and each wrong field one sentence.

#![expect(clippy::unwrap_used, reason = "a test")]

use plan::{
    BindPlan, CgroupView, Given, Hierarchy, MountKind, Plan, Search, SourceKind, StepKind,
    TargetKind,
};
use spec::Class;
use spec::oci::{Mount, Spec};
use sys::caps::{Cap, CapSet};
use sys::clone::Namespaces;
use sys::mount::{Attr, Extent, Propagation};

fn bundle() -> Spec {
    serde_json::from_str(include_str!("docker_bundle.json")).unwrap()
}

fn given() -> Given {
    let mut sources = vec![None; 9];
    sources[7] = Some(SourceKind::File);
    sources[8] = Some(SourceKind::Directory);
    let cpu = Hierarchy {
        directory: "cpu,cpuacct".to_owned(),
        options: vec!["cpu".to_owned(), "cpuacct".to_owned()],
    };
    let systemd =
        Hierarchy { directory: "systemd".to_owned(), options: vec!["name=systemd".to_owned()] };
    Given { sources, cgroups: CgroupView::Legacy(vec![cpu, systemd]), ..Given::default() }
}

fn refusal(change: impl FnOnce(&mut Spec)) -> String {
    let mut spec = bundle();
    change(&mut spec);
    Plan::new(&spec, &given()).unwrap_err().to_string()
}

#[test]
fn dockers_bundle_is_planned_in_full() {
    let plan = Plan::new(&bundle(), &given()).unwrap();
    assert!(plan.namespaces.new.contains(Namespaces::CGROUP | Namespaces::PID));
    assert!(plan.root_readonly);
    assert_eq!(plan.hostname.as_deref(), Some(c"c"));
    assert_eq!(plan.devices.len(), 7);
    assert_eq!(plan.devices[0].name.as_c_str(), c"fuse");
    assert_eq!(plan.masked, [c"/proc/kcore".to_owned(), c"/sys/firmware".to_owned()]);
    let MountKind::Typed(dev) = &plan.mounts[1].kind else { panic!("/dev is not typed") };
    assert_eq!(dev.attributes, Attr::NOSUID | Attr::STRICTATIME);
    assert_eq!(dev.options[1], (c"mode".to_owned(), Some(c"755".to_owned())));
    assert!(plan.mounts[1].no_links && !plan.mounts[2].no_links);
    let MountKind::Cgroups(cgroups) = &plan.mounts[4].kind else { panic!("no hierarchies") };
    assert_eq!(cgroups.links[0], (c"cpu".to_owned(), c"cpu,cpuacct".to_owned()));
    assert_eq!(cgroups.hierarchies[1].1.options[1], (c"none".to_owned(), None));
    assert_eq!(plan.mounts[7].target_kind, TargetKind::File);
    let MountKind::Bind(data) = &plan.mounts[8].kind else { panic!("/data is not bound") };
    let BindPlan { source, extent, propagation, .. } = data;
    assert_eq!((*source, *extent), (8, Extent::Tree));
    assert_eq!(*propagation, (Propagation::Slave, Extent::Tree));
    assert_eq!(data.own.set, Attr::RDONLY);
}

#[test]
fn the_process_has_its_rights_resolved() {
    let process = Plan::new(&bundle(), &given()).unwrap().process;
    assert_eq!(process.search, Search::Path);
    assert_eq!(
        process.candidates,
        [c"/usr/local/bin/sh".to_owned(), c"/usr/bin/sh".to_owned(), c"/bin/sh".to_owned()]
    );
    let chown = CapSet::EMPTY.with(Cap::CHOWN);
    assert_eq!(process.caps.permitted, chown);
    assert_eq!(process.caps.effective, chown);
    assert_eq!(process.caps.ambient, CapSet::EMPTY);
    assert_eq!(process.unknown_caps, ["CAP_FUTURE"]);
    assert_eq!(process.groups, [0, 10]);
    assert_eq!(process.umask, 0o022);
}

#[test]
fn each_wrong_field_is_refused_with_its_name_value_and_what_is_allowed() {
    let mount = |destination: &str, kind: &str, options: &[&str]| Mount {
        destination: destination.to_owned(),
        kind: Some(kind.to_owned()),
        options: options.iter().map(|o| (*o).to_owned()).collect(),
        ..Mount::default()
    };
    let first = |spec: &mut Spec, mount: Mount| spec.mounts[0] = mount;
    for (said, wanted) in [
        (
            refusal(|s| first(s, mount("/proc/sys/kernel", "tmpfs", &[]))),
            "invalid mount \"/proc/sys/kernel\": cannot be mounted because it is inside /proc",
        ),
        (
            refusal(|s| first(s, mount("/proc/../proc", "tmpfs", &[]))),
            "invalid mount \"/proc\": cannot be mounted because it is inside /proc",
        ),
        (
            refusal(|s| first(s, mount("proc", "proc", &[]))),
            "invalid mounts[0].destination \"proc\": must be an absolute path",
        ),
        (
            refusal(|s| first(s, mount("/x", "ext4", &[]))),
            "invalid mounts[0].type \"ext4\": must be bind or one of proc, sysfs, tmpfs, devpts, \
             mqueue, cgroup, cgroup2, bpf",
        ),
        (
            refusal(|s| first(s, mount("/x", "bind", &[]))),
            "invalid mounts[0].source \"\": must be given as a descriptor",
        ),
        (
            refusal(|s| s.mounts[8].options.push("size=4".to_owned())),
            "invalid mounts[8].options \"size=4\": must be an option of bind mounts",
        ),
        (
            refusal(|s| s.process.as_mut().unwrap().args.clear()),
            "invalid specification: process.args is missing",
        ),
        (
            refusal(|s| s.process.as_mut().unwrap().cwd = "x\0y".to_owned()),
            "invalid process.cwd \"x\\0y\": must be an absolute path",
        ),
        (
            refusal(|s| s.process.as_mut().unwrap().rlimits[0].soft = 4096),
            "invalid process.rlimits[0].soft \"4096\": must be at most the hard limit 1024",
        ),
        (
            refusal(|s| s.process.as_mut().unwrap().oom_score_adj = Some(1001)),
            "invalid process.oomScoreAdj \"1001\": must be -1000 to 1000",
        ),
        (
            refusal(|s| s.linux.as_mut().unwrap().namespaces[1].path = Some("/n".to_owned())),
            "invalid linux.namespaces[1].path \"/n\": must be given as a descriptor",
        ),
        (
            refusal(|s| s.linux.as_mut().unwrap().namespaces[1].kind = "net".to_owned()),
            "invalid linux.namespaces[1].type \"net\": must be one of pid, network, mount, ipc, \
             uts, user, cgroup, time",
        ),
        (
            refusal(|s| drop(s.linux.as_mut().unwrap().namespaces.remove(0))),
            "invalid specification: linux.namespaces mount is missing",
        ),
        (
            refusal(|s| s.linux.as_mut().unwrap().devices[0].major = 1 << 12),
            "invalid linux.devices[0].major \"4096\": must be 0 to 4095",
        ),
        (refusal(|s| s.hostname = Some("x".repeat(65))), &long_name()),
        (
            refusal(|s| s.hooks = Some(hooks())),
            "unsupported hooks: no program is called on behalf of a bundle",
        ),
    ] {
        assert_eq!(said, wanted);
    }
}

fn long_name() -> String {
    format!("invalid hostname {:?}: must be at most 64 bytes", "x".repeat(65))
}

fn hooks() -> spec::oci::Hooks {
    let hook = spec::oci::Hook { path: "/bin/true".to_owned(), ..spec::oci::Hook::default() };
    spec::oci::Hooks { poststop: vec![hook], ..spec::oci::Hooks::default() }
}

#[test]
fn failures_of_the_program_say_what_docker_says() {
    let plan = Plan::new(&bundle(), &given()).unwrap();
    let record = |step, index, errno| plan::Record { step, index, errno };
    let found = plan.explain(record(StepKind::FindProgram, 0, 2));
    assert_eq!(found.message, "exec: \"sh\": executable file not found in $PATH");
    assert_eq!(found.class, Class::CommandNotFound);
    let mut spec = bundle();
    spec.process.as_mut().unwrap().args[0] = "/nope".to_owned();
    let plan = Plan::new(&spec, &given()).unwrap();
    let found = plan.explain(record(StepKind::FindProgram, 0, 2));
    assert_eq!(found.message, "exec: \"/nope\": stat /nope: no such file or directory");
    let found = plan.explain(record(StepKind::FindProgram, 0, 13));
    assert_eq!(found.message, "exec: \"/nope\": permission denied");
    assert_eq!(found.class, Class::CommandNotExecutable);
    let found = plan.explain(record(StepKind::Execute, 0, 8));
    assert_eq!(found.message, "exec /nope: exec format error");
    let found = plan.explain(record(StepKind::MountTarget, 1, 40));
    assert_eq!(found.message, "mount \"/dev\": a symbolic link is in its place");
}

#[test]
fn a_record_survives_its_bytes_and_garbage_is_no_record() {
    let record = plan::Record { step: StepKind::Execute, index: 7, errno: 13 };
    assert_eq!(plan::Record::from_bytes(&record.to_bytes()), Some(record));
    assert_eq!(plan::Record::from_bytes(&[0xff; 12]), None);
    assert_eq!(plan::Record::from_bytes(&[0; 11]), None);
}

#[test]
fn a_specification_survives_json_and_postcard() {
    let spec = bundle();
    let bytes = postcard::to_stdvec(&spec).unwrap();
    assert_eq!(postcard::from_bytes::<Spec>(&bytes).unwrap(), spec);
    let text = serde_json::to_string(&spec).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
}
