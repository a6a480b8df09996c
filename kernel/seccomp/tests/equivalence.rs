//! Every compiled program answers what a naive reading of its filter answers.

#![expect(clippy::unwrap_used, reason = "a test may fail in a function of its own")]

mod machine;

use machine::{Data, Evaluator, edges, run};
use proptest::prelude::*;
use seccomp::{Action, Arch, Condition, Filter, Flag, Operator, Profile, Rule};

const AUDITS: [u32; 5] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0xc000_0016];

/// The capabilities of a container that asks for none in particular.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FSETID",
    "CAP_FOWNER",
    "CAP_MKNOD",
    "CAP_NET_RAW",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETFCAP",
    "CAP_SETPCAP",
    "CAP_NET_BIND_SERVICE",
    "CAP_SYS_CHROOT",
    "CAP_KILL",
    "CAP_AUDIT_WRITE",
];
const MORE_CAPABILITIES: [&str; 4] =
    ["CAP_SYS_ADMIN", "CAP_SYSLOG", "CAP_SYS_PTRACE", "CAP_PERFMON"];

fn numbers() -> Vec<u32> {
    let mut numbers: Vec<u32> = (0..=600).flat_map(|number| [number, number | 1 << 30]).collect();
    numbers.extend(0x000e_ffff..=0x000f_0010);
    for edge in [0x4000_0000_u32, 0x8000_0000, 0xc000_0000, 0] {
        numbers.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
    }
    numbers
}

fn compare_everywhere(filter: &Filter, host: Arch) {
    let program = filter.compile(host).unwrap();
    let evaluator = Evaluator::new(filter, host);
    let edges = edges(filter);
    for audit in AUDITS {
        for number in numbers() {
            for argument in 0..3 {
                for edge in &edges {
                    let mut data = Data { number, audit, args: [0; 6] };
                    data.args[argument] = *edge;
                    let (got, want) = (run(&program, &data), evaluator.action(&data));
                    assert_eq!(got, want.code(), "{data:x?} must be {want:?}");
                }
            }
        }
    }
}

#[test]
fn default_profile_answers_as_its_rules_say_for_every_call_of_x86_64() {
    for (capabilities, kernel) in
        [(&DEFAULT_CAPABILITIES[..], (6, 1)), (&MORE_CAPABILITIES[..], (4, 4))]
    {
        let filter = Profile::docker_default().resolve(Arch::X86_64, capabilities, kernel).unwrap();
        compare_everywhere(&filter, Arch::X86_64);
    }
}

#[test]
fn default_profile_answers_as_its_rules_say_for_every_call_of_aarch64() {
    let filter =
        Profile::docker_default().resolve(Arch::Aarch64, &DEFAULT_CAPABILITIES, (6, 1)).unwrap();
    compare_everywhere(&filter, Arch::Aarch64);
}

#[test]
fn a_filter_for_the_host_alone_ends_calls_of_its_32_bit_companions() {
    let mut filter =
        Profile::docker_default().resolve(Arch::X86_64, &DEFAULT_CAPABILITIES, (6, 1)).unwrap();
    filter.architectures = vec![Arch::X86_64];
    compare_everywhere(&filter, Arch::X86_64);
    let program = filter.compile(Arch::X86_64).unwrap();
    let call = |number, audit| run(&program, &Data { number, audit, args: [0; 6] });
    assert_eq!(call(0, AUDITS[0]), Action::Allow.code());
    assert_eq!(call(1 << 30, AUDITS[0]), Action::KillThread.code());
    assert_eq!(call(3, AUDITS[1]), Action::KillThread.code());
    assert_eq!(call(u32::MAX, AUDITS[0]), Action::Errno(1).code());
}

#[test]
fn default_profile_decides_known_calls_as_docker_does() {
    let compile = |capabilities: &[&str]| {
        let filter = Profile::docker_default().resolve(Arch::X86_64, capabilities, (6, 1)).unwrap();
        filter.compile(Arch::X86_64).unwrap()
    };
    let (plain, admin) = (compile(&DEFAULT_CAPABILITIES), compile(&["CAP_SYS_ADMIN"]));
    println!("default profile: {} instructions", plain.instructions.len());
    let (allow, eperm, enosys) = (Action::Allow, Action::Errno(1), Action::Errno(38));
    let cases: [(&str, u64, Action, Action); 15] = [
        ("read", 0, allow, allow),
        ("mount", 0, eperm, allow),
        ("clone", 0x11, allow, allow),
        ("clone", 0x1000_0011, eperm, allow),
        ("clone3", 0, enosys, allow),
        ("socket", 1, allow, allow),
        ("socket", 38, eperm, eperm),
        ("socket", 40, eperm, eperm),
        ("socket", 40 | 1 << 32, eperm, eperm),
        ("socket", 44, allow, allow),
        ("personality", 0xffff_ffff, allow, allow),
        ("personality", 0x0004_0000, eperm, eperm),
        ("io_uring_setup", 0, eperm, eperm),
        ("chroot", 0, allow, eperm),
        ("keyctl", 0, eperm, eperm),
    ];
    for (name, argument, without, with) in cases {
        let number = seccomp::syscalls::number(Arch::X86_64, name).unwrap();
        let data = Data { number, audit: AUDITS[0], args: [argument, 0, 0, 0, 0, 0] };
        assert_eq!(run(&plain, &data), without.code(), "{name}({argument:#x})");
        assert_eq!(run(&admin, &data), with.code(), "{name}({argument:#x}) with CAP_SYS_ADMIN");
    }
}

#[test]
fn a_rule_on_socket_also_holds_for_socketcall_of_32_bit_programs() {
    let deny = r#"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "syscalls": [
        {"names": ["socket"], "action": "SCMP_ACT_ERRNO", "args": [{"index": 0, "value": 38, "op": "SCMP_CMP_EQ"}]}]}"#;
    let filter = Profile::parse(deny).unwrap().resolve::<&str>(Arch::X86_64, &[], (6, 1)).unwrap();
    compare_everywhere(&filter, Arch::X86_64);
    let program = filter.compile(Arch::X86_64).unwrap();
    let socketcall = |which| {
        run(&program, &Data { number: 102, audit: AUDITS[1], args: [which, 0, 0, 0, 0, 0] })
    };
    assert_eq!(socketcall(1), Action::Errno(1).code());
    assert_eq!(socketcall(2), Action::Allow.code());
}

fn any_action() -> impl Strategy<Value = Action> {
    prop_oneof![
        Just(Action::Allow),
        Just(Action::Log),
        Just(Action::Trap),
        Just(Action::KillThread),
        Just(Action::KillProcess),
        Just(Action::Notify),
        (1..4095_u16).prop_map(Action::Errno),
        (1..4095_u16).prop_map(Action::Trace),
        Just(Action::Errno(38)),
    ]
}

fn any_condition() -> impl Strategy<Value = Condition> {
    let operator = proptest::sample::select(vec![
        Operator::NotEqual,
        Operator::Less,
        Operator::LessOrEqual,
        Operator::Equal,
        Operator::GreaterOrEqual,
        Operator::Greater,
        Operator::MaskedEqual,
    ]);
    let value = || {
        prop_oneof![
            proptest::sample::select(vec![0, 1, 40, 0xffff_ffff, 1 << 32, (5 << 32) | 7, u64::MAX]),
            any::<u64>(),
        ]
    };
    (0..6_u8, operator, value(), value()).prop_map(|(index, operator, value, value_two)| {
        Condition { index, operator, value, value_two }
    })
}

const NAMES: [&str; 14] = [
    "read",
    "write",
    "socket",
    "accept",
    "clone",
    "personality",
    "ioctl",
    "semop",
    "socketcall",
    "ipc",
    "mseal",
    "set_tls",
    "listns",
    "no_such_call",
];

fn any_rule() -> impl Strategy<Value = Rule> {
    let names = proptest::collection::vec(proptest::sample::select(NAMES.to_vec()), 1..4);
    (names, any_action(), proptest::collection::vec(any_condition(), 0..4)).prop_map(
        |(names, action, conditions)| Rule {
            names: names.into_iter().map(str::to_owned).collect(),
            action,
            conditions,
        },
    )
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let arches = vec![Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm];
    (
        any_action(),
        proptest::sample::subsequence(arches, 0..=5),
        proptest::collection::vec(any_rule(), 0..12),
    )
        .prop_map(|(default_action, architectures, rules)| Filter {
            default_action,
            architectures,
            flags: vec![Flag::Log],
            rules,
            listener_path: None,
            listener_metadata: None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_filter_answers_as_its_rules_say(
        filter in any_filter(),
        host in proptest::sample::select(vec![Arch::X86_64, Arch::Aarch64, Arch::X86, Arch::Arm]),
        args in proptest::collection::vec(any::<prop::sample::Index>(), 6),
        random in any::<[u64; 6]>(),
    ) {
        let program = filter.compile(host).unwrap();
        let evaluator = Evaluator::new(&filter, host);
        let edges = edges(&filter);
        let edge_args: [u64; 6] = std::array::from_fn(|at| *args[at].get(&edges));
        for arch in [Arch::X86_64, Arch::X86, Arch::X32, Arch::Aarch64, Arch::Arm] {
            for name in NAMES {
                let Some(number) = seccomp::syscalls::number(arch, name) else { continue };
                for number in [number.wrapping_sub(1), number, number + 1, u32::MAX] {
                    for args in [edge_args, random, [0; 6], [1; 6], [u64::MAX; 6]] {
                        let data = Data { number, audit: arch.audit().unwrap(), args };
                        prop_assert_eq!(run(&program, &data), evaluator.action(&data).code(), "{:x?}", data);
                    }
                }
            }
        }
    }

    #[test]
    fn every_program_has_only_jumps_forward_inside_itself(filter in any_filter()) {
        let code = filter.compile(Arch::X86_64).unwrap().instructions;
        for (at, instruction) in code.iter().enumerate() {
            let farthest = match instruction.code {
                0x05 => instruction.k as usize,
                0x15 | 0x25 | 0x35 => usize::from(instruction.jt.max(instruction.jf)),
                _ => 0,
            };
            prop_assert!(at + farthest < code.len());
        }
        prop_assert_eq!(code.last().unwrap().code, 0x06);
    }
}

#[test]
fn a_filter_that_the_kernel_would_refuse_for_its_length_is_refused() {
    let condition = |value| Condition { index: 0, operator: Operator::Equal, value, value_two: 0 };
    let rule = |value| Rule {
        names: vec!["write".into()],
        action: Action::Errno(5),
        conditions: vec![condition(value)],
    };
    let filter = Filter {
        default_action: Action::Allow,
        architectures: vec![],
        flags: vec![],
        rules: (0..1000).map(rule).collect(),
        listener_path: None,
        listener_metadata: None,
    };
    let error = filter.compile(Arch::X86_64).unwrap_err();
    assert_eq!(
        error.to_string(),
        "compile seccomp filter: 5020 instructions, the kernel takes at most 4096"
    );
    // Jumps over 255 instructions work.
    let shorter = Filter { rules: filter.rules[..300].to_vec(), ..filter };
    compare_some(&shorter);
}

fn compare_some(filter: &Filter) {
    let (program, evaluator) =
        (filter.compile(Arch::X86_64).unwrap(), Evaluator::new(filter, Arch::X86_64));
    for number in 0..4 {
        for value in 0..400 {
            let data = Data { number, audit: AUDITS[0], args: [value; 6] };
            assert_eq!(run(&program, &data), evaluator.action(&data).code(), "{data:x?}");
        }
    }
}
