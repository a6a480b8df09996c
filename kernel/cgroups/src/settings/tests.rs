use super::*;
use spec::oci::{Cpu, HugepageLimit, Memory, Pids, Rdma, WeightDevice};

fn lines(resources: &Resources, version: Version) -> Vec<String> {
    let place = |controller: &str| match (version, controller) {
        (Version::V1, "io") | (Version::V2, "blkio" | "net_cls" | "net_prio") => None,
        _ => Some(version),
    };
    let settings = plan("docker/x", resources, &place).unwrap();
    settings.iter().map(|setting| format!("{} = {}", setting.file, setting.value)).collect()
}

fn memory(limit: i64, swap: i64) -> Resources {
    let memory = Memory { limit: Some(limit), swap: Some(swap), ..Memory::default() };
    Resources { memory: Some(memory), ..Resources::default() }
}

#[test]
fn shares_become_the_weight_that_goes_through_the_usual_value() {
    let pairs =
        [(2, 1), (1024, 100), (262_144, 10_000), (512, 59), (2048, 174), (1, 1), (500_000, 10_000)];
    for (shares, weight) in pairs {
        assert_eq!(v2::weight_of_shares(shares), weight, "{shares}");
    }
}

#[test]
fn memory_and_swap_together_become_swap_alone() {
    assert_eq!(
        lines(&memory(100, 300), Version::V2),
        ["memory.swap.max = 200", "memory.max = 100"]
    );
    assert_eq!(lines(&memory(100, 100), Version::V2), ["memory.swap.max = 0", "memory.max = 100"]);
    assert_eq!(lines(&memory(100, -1), Version::V2), ["memory.swap.max = max", "memory.max = 100"]);
    assert_eq!(lines(&memory(100, 0), Version::V2), ["memory.max = 100"]);
    assert_eq!(lines(&memory(-1, 0), Version::V2), ["memory.swap.max = max", "memory.max = max"]);
    assert_eq!(
        lines(&memory(-1, 0), Version::V1),
        ["memory.limit_in_bytes = -1", "memory.memsw.limit_in_bytes = -1"]
    );
    for (limit, swap) in [(300, 100), (0, 100)] {
        assert!(plan("docker/x", &memory(limit, swap), &|_| Some(Version::V2)).is_err());
    }
}

#[test]
fn processor_limits_have_the_files_of_their_version() {
    let cpu = Cpu {
        shares: Some(512),
        quota: Some(50_000),
        period: Some(100_000),
        burst: Some(1000),
        cpus: Some("0-1".into()),
        mems: Some("0".into()),
        idle: Some(0),
        ..Cpu::default()
    };
    let resources = Resources { cpu: Some(cpu), ..Resources::default() };
    assert_eq!(
        lines(&resources, Version::V1),
        [
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "cpu.shares = 512",
            "cpu.cfs_period_us = 100000",
            "cpu.cfs_quota_us = 50000",
            "cpu.idle = 0",
            "cpu.cfs_burst_us = 1000",
        ]
    );
    assert_eq!(
        lines(&resources, Version::V2),
        [
            "cpuset.cpus = 0-1",
            "cpuset.mems = 0",
            "cpu.idle = 0",
            "cpu.weight = 59",
            "cpu.max = 50000 100000",
            "cpu.max.burst = 1000",
        ]
    );
}

#[test]
fn block_device_limits_have_the_files_of_their_version() {
    let throttle = |rate| vec![ThrottleDevice { major: 8, minor: 0, rate }];
    let io = BlockIo {
        weight: Some(500),
        weight_device: vec![WeightDevice {
            major: 8,
            minor: 16,
            weight: Some(10),
            leaf_weight: None,
        }],
        throttle_read_bps_device: throttle(1024),
        throttle_write_iops_device: throttle(0),
        ..BlockIo::default()
    };
    let resources = Resources { block_io: Some(io), ..Resources::default() };
    assert_eq!(
        lines(&resources, Version::V1),
        [
            "blkio.weight = 500",
            "blkio.weight_device = 8:16 10",
            "blkio.throttle.read_bps_device = 8:0 1024",
            "blkio.throttle.write_iops_device = 8:0 0",
        ]
    );
    assert_eq!(
        lines(&resources, Version::V2),
        [
            "io.bfq.weight = 500",
            "io.bfq.weight = 8:16 10",
            "io.max = 8:0 rbps=1024",
            "io.max = 8:0 wiops=max"
        ]
    );
    let settings =
        plan("docker/x", &resources, &|name| (name != "blkio").then_some(Version::V2)).unwrap();
    assert_eq!(settings[0].instead, Some(("io.weight".into(), "4950".into())));
    assert_eq!(settings[1].instead, Some(("io.weight".into(), "8:16 1".into())));
}

#[test]
fn other_limits_have_the_same_form_in_both_versions() {
    let mut resources = Resources {
        pids: Some(Pids { limit: Some(-1) }),
        hugepage_limits: vec![HugepageLimit { page_size: "2MB".into(), limit: 4 << 20 }],
        ..Resources::default()
    };
    resources.rdma.insert("mlx5_1".into(), Rdma { hca_handles: Some(3), hca_objects: None });
    assert_eq!(
        lines(&resources, Version::V1),
        [
            "pids.max = max",
            "hugetlb.2MB.limit_in_bytes = 4194304",
            "hugetlb.2MB.rsvd.limit_in_bytes = 4194304",
            "rdma.max = mlx5_1 hca_handle=3 hca_object=max",
        ]
    );
    assert_eq!(lines(&resources, Version::V2)[1], "hugetlb.2MB.max = 4194304");
}

#[test]
fn unified_files_are_written_line_by_line_on_v2_only() {
    let mut resources = Resources::default();
    resources.unified.insert("io.max".into(), "8:0 rbps=1\n8:16 rbps=2\n".into());
    assert_eq!(lines(&resources, Version::V2), ["io.max = 8:0 rbps=1", "io.max = 8:16 rbps=2"]);
    assert_eq!(
        plan("docker/x", &resources, &|_| Some(Version::V1)).unwrap_err().to_string(),
        "invalid unified: needs a host with cgroup v2 only"
    );
    for bad in ["cgroup.procs", "../x.y", "memory", ".max"] {
        let unified = [(bad.to_owned(), "1".to_owned())].into();
        let resources = Resources { unified, ..Resources::default() };
        assert!(plan("docker/x", &resources, &|_| Some(Version::V2)).is_err(), "{bad}");
    }
}

#[test]
fn values_that_the_kernel_cannot_express_are_refused_with_the_field() {
    let cpu = |cpu: Cpu| Resources { cpu: Some(cpu), ..Resources::default() };
    let io = |io: BlockIo| Resources { block_io: Some(io), ..Resources::default() };
    let swappiness = Memory { swappiness: Some(101), ..Memory::default() };
    let cases = [
        (
            cpu(Cpu { shares: Some(1), ..Cpu::default() }),
            "cpu.shares: the minimum allowed cpu-shares is 2",
        ),
        (
            cpu(Cpu { cpus: Some("0;1".into()), ..Cpu::default() }),
            "cpu.cpus: \"0;1\" is not a list of numbers and ranges",
        ),
        (
            io(BlockIo { weight: Some(5), ..BlockIo::default() }),
            "blockIO.weight: 5 is not between 10 and 1000",
        ),
        (
            Resources { memory: Some(swappiness), ..Resources::default() },
            "memory.swappiness: 101 is not between 0 and 100",
        ),
    ];
    for (resources, message) in cases {
        let error = plan("docker/x", &resources, &|_| Some(Version::V1)).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid {message}"));
        assert_eq!(error.class(), spec::Class::InvalidArgument);
    }
}

#[test]
fn a_limit_without_its_controller_is_refused() {
    let resources = Resources { pids: Some(Pids { limit: Some(5) }), ..Resources::default() };
    let error =
        plan("docker/x", &resources, &|name| (name != "pids").then_some(Version::V1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "set pids.max of cgroup docker/x: the controller pids is not available"
    );
    assert!(plan("docker/x", &Resources::default(), &|_| None).unwrap().is_empty());
}

#[test]
fn a_limit_of_no_tasks_leaves_room_for_the_first() {
    for (asked, written) in [(0, "1"), (-1, "max"), (-7, "max"), (5, "5")] {
        let pids = Some(Pids { limit: Some(asked) });
        let resources = Resources { pids, ..Resources::default() };
        for version in [Version::V1, Version::V2] {
            assert_eq!(lines(&resources, version), [format!("pids.max = {written}")]);
        }
    }
}

#[test]
fn marks_of_packets_are_written_on_v1_left_out_on_v2_and_refused_where_v1_lacks_them() {
    let priority = |name: &str| spec::oci::InterfacePriority { name: name.into(), priority: 7 };
    let network = spec::oci::Network {
        class_id: Some(0x0010_0001),
        priorities: vec![priority("eth0"), priority("lo")],
    };
    let resources = Resources { network: Some(network), ..Resources::default() };
    assert_eq!(
        lines(&resources, Version::V1),
        ["net_cls.classid = 1048577", "net_prio.ifpriomap = eth0 7", "net_prio.ifpriomap = lo 7"]
    );
    assert!(lines(&resources, Version::V2).is_empty());
    let lacking = |name: &str| (!name.starts_with("net_")).then_some(Version::V1);
    assert_eq!(
        plan("docker/x", &resources, &lacking).unwrap_err().to_string(),
        "set net_cls.classid of cgroup docker/x: the controller net_cls is not available"
    );
}

#[test]
fn an_idle_group_has_no_share() {
    let cpu = Cpu { shares: Some(512), idle: Some(1), ..Cpu::default() };
    let resources = Resources { cpu: Some(cpu), ..Resources::default() };
    for version in [Version::V1, Version::V2] {
        assert_eq!(lines(&resources, version), ["cpu.idle = 1"]);
    }
}

#[test]
fn kernel_memory_and_hierarchy_are_asked_for_where_v1_has_them() {
    let memory = Memory {
        limit: Some(100),
        kernel: Some(50),
        kernel_tcp: Some(-1),
        use_hierarchy: Some(true),
        swappiness: Some(0),
        disable_oom_killer: Some(true),
        ..Memory::default()
    };
    let resources = Resources { memory: Some(memory), ..Resources::default() };
    assert_eq!(
        lines(&resources, Version::V1),
        [
            "memory.limit_in_bytes = 100",
            "memory.use_hierarchy = 1",
            "memory.kmem.limit_in_bytes = 50",
            "memory.kmem.tcp.limit_in_bytes = -1",
            "memory.oom_control = 1",
            "memory.swappiness = 0",
        ]
    );
    assert_eq!(lines(&resources, Version::V2), ["memory.max = 100"]);
}

#[test]
fn real_time_is_limited_on_v1_alone() {
    let cpu = Cpu { realtime_period: Some(1000), realtime_runtime: Some(500), ..Cpu::default() };
    let resources = Resources { cpu: Some(cpu), ..Resources::default() };
    assert_eq!(
        lines(&resources, Version::V1),
        ["cpu.rt_period_us = 1000", "cpu.rt_runtime_us = 500"]
    );
    assert!(lines(&resources, Version::V2).is_empty());
}

#[test]
fn leaf_weights_are_those_of_v1() {
    let device = WeightDevice { major: 8, minor: 0, weight: Some(500), leaf_weight: Some(300) };
    let io = BlockIo { leaf_weight: Some(10), weight_device: vec![device], ..BlockIo::default() };
    let resources = Resources { block_io: Some(io), ..Resources::default() };
    assert_eq!(
        lines(&resources, Version::V1),
        [
            "blkio.leaf_weight = 10",
            "blkio.weight_device = 8:0 500",
            "blkio.leaf_weight_device = 8:0 300"
        ]
    );
    assert_eq!(lines(&resources, Version::V2), ["io.bfq.weight = 8:0 500"]);
}
