//! Every compiled program answers what a naive reading of its filter answers.

#![expect(clippy::unwrap_used, reason = "a test may fail in a function of its own")]

mod machine;

use machine::{Data, Evaluator, edges, edges_of, run};
use proptest::prelude::*;
use seccomp::{Action, Arch, Condition, Filter, Flag, Operator, Profile, Rule};
use spec::linux::DEFAULT_CAPABILITIES;

const AUDITS: [u32; 5] = [0xc000_003e, 0x4000_0003, 0xc000_00b7, 0x4000_0028, 0xc000_0016];

const MORE_CAPABILITIES: [&str; 4] =
    ["CAP_SYS_ADMIN", "CAP_SYSLOG", "CAP_SYS_PTRACE", "CAP_PERFMON"];

/// Hosts: architectures of which kernels are built.
fn hosts() -> impl Iterator<Item = Arch> {
    Arch::all().filter(|arch| {
        !matches!(arch, Arch::X32 | Arch::Mips64n32 | Arch::Mipsel64n32 | Arch::S390)
    })
}

/// All numbers that an architecture has, all between them and some above, and those at which bits change.
fn numbers(arch: Arch) -> Vec<u32> {
    let known: Vec<u32> = seccomp::syscalls::all(arch)
        .map(|(_, number)| number)
        .filter(|one| *one < 0xf_0000 || *one >= 1 << 30)
        .collect();
    let (first, last) = (*known.iter().min().unwrap(), *known.iter().max().unwrap());
    let mut numbers: Vec<u32> = (first.saturating_sub(20)..last + 60).collect();
    numbers.extend(0x000e_ffff..=0x000f_0010);
    for edge in [0x4000_0000_u32, 0x8000_0000, 0xc000_0000, 0] {
        numbers.extend([edge.wrapping_sub(1), edge, edge.wrapping_add(1)]);
    }
    numbers
}

/// Arguments for a call: every combination of the values around which each rule on it decides.
fn arguments(arch: Arch, number: u32, rules: &[&[Condition]]) -> Vec<[u64; 6]> {
    let mut all = vec![[0; 6], [u64::MAX; 6], [1, 2, 3, 4, 5, 6]];
    // The multiplexing calls choose by their first.
    if ["socketcall", "ipc"]
        .iter()
        .any(|name| seccomp::syscalls::number(arch, name) == Some(number))
    {
        all.extend((0..26).map(|first| [first, 0, 0, 0, 0, 0]));
        all.extend((0..26).map(|first| [first | 1 << 40, 0, 0, 0, 0, 0]));
    }
    for conditions in rules {
        let mut these = vec![[0; 6]];
        for condition in *conditions {
            let edges = edges_of(condition);
            let with = |args: &[u64; 6], edge: u64| {
                let mut args = *args;
                args[usize::from(condition.index)] = edge;
                args
            };
            these =
                these.iter().flat_map(|args| edges.iter().map(|edge| with(args, *edge))).collect();
            these.truncate(4000);
        }
        all.extend(these);
    }
    all
}

/// For every number of every interface of the host, and of an interface that is none of its.
fn compare_everywhere(filter: &Filter, host: Arch) {
    let program = filter.compile(host).unwrap();
    let evaluator = Evaluator::new(filter, host);
    let mut compared = 0;
    let companions = host.companions().iter().copied();
    for arch in std::iter::once(host).chain(companions) {
        for number in numbers(arch) {
            for args in arguments(arch, number, &evaluator.conditions(arch, number)) {
                let data = Data { number, audit: arch.audit().unwrap(), args };
                let (got, want) = (run(&program, &data), evaluator.action(&data));
                assert_eq!(got, want.code(), "{data:x?} on {host:?} must be {want:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000);
    let stranger = if host == Arch::Arm { Arch::X86_64 } else { Arch::Arm };
    if !stranger.runs_on(host) {
        let data = Data { number: 1, audit: stranger.audit().unwrap(), args: [0; 6] };
        assert_eq!(run(&program, &data), Action::KillThread.code());
    }
}

#[test]
fn default_profile_answers_as_its_rules_say_for_every_call_of_every_architecture() {
    for host in hosts() {
        for (capabilities, kernel) in
            [(&DEFAULT_CAPABILITIES[..], (6, 1)), (&MORE_CAPABILITIES[..], (4, 4))]
        {
            let filter = Profile::docker_default().resolve(host, capabilities, kernel).unwrap();
            compare_everywhere(&filter, host);
            // With every companion, whatever the profile lists, and with none.
            let architectures = host.companions().to_vec();
            compare_everywhere(&Filter { architectures, ..filter.clone() }, host);
            compare_everywhere(&Filter { architectures: Vec::new(), ..filter }, host);
        }
    }
}

#[test]
fn a_filter_with_every_operator_on_every_argument_answers_as_its_rules_say() {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    let values = [0, 1, 7, 0xffff_fffe, 0xffff_ffff, 1 << 32, (9 << 32) | 5, 1 << 63, u64::MAX];
    for host in hosts() {
        // One call for each operator and argument, so that each is decided by itself.
        let mut names = seccomp::syscalls::all(host).map(|(name, _)| name.to_owned());
        let mut rules = Vec::new();
        for operator in [NotEqual, Less, LessOrEqual, Equal, GreaterOrEqual, Greater, MaskedEqual] {
            for index in 0..6 {
                for (at, value) in values.into_iter().enumerate() {
                    let Some(name) = names.next() else { continue };
                    let value_two = values[(at + 3) % values.len()];
                    rules.push(Rule {
                        names: vec![name],
                        action: Action::Errno(9),
                        conditions: vec![Condition { index, operator, value, value_two }],
                    });
                }
            }
        }
        for rules in rules.chunks(60) {
            let filter = Filter {
                default_action: Action::Allow,
                architectures: host.companions().to_vec(),
                flags: Vec::new(),
                rules: rules.to_vec(),
                listener_path: None,
                listener_metadata: None,
            };
            compare_everywhere(&filter, host);
        }
    }
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

/// Names that are special in some way, and any others.
fn any_name() -> impl Strategy<Value = &'static str> {
    let all: Vec<&str> =
        Arch::all().flat_map(|arch| seccomp::syscalls::all(arch).map(|(name, _)| name)).collect();
    prop_oneof![
        3 => proptest::sample::select(NAMES.to_vec()),
        1 => proptest::sample::select(all),
    ]
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let names = proptest::collection::vec(any_name(), 1..4);
    (names, any_action(), proptest::collection::vec(any_condition(), 0..4)).prop_map(
        |(names, action, conditions)| Rule {
            names: names.into_iter().map(str::to_owned).collect(),
            action,
            conditions,
        },
    )
}

fn any_filter() -> impl Strategy<Value = Filter> {
    let arches: Vec<Arch> = Arch::all().collect();
    let count = arches.len();
    (
        any_action(),
        proptest::sample::subsequence(arches, 0..=count),
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
        host in proptest::sample::select(hosts().collect::<Vec<_>>()),
        args in proptest::collection::vec(any::<prop::sample::Index>(), 6),
        random in any::<[u64; 6]>(),
    ) {
        let program = filter.compile(host).unwrap();
        let evaluator = Evaluator::new(&filter, host);
        let edges = edges(&filter);
        let edge_args: [u64; 6] = std::array::from_fn(|at| *args[at].get(&edges));
        let named = filter.rules.iter().flat_map(|rule| rule.names.iter().map(String::as_str));
        let names: Vec<&str> = NAMES.into_iter().chain(named).collect();
        for arch in std::iter::once(host).chain(host.companions().iter().copied()) {
            for name in &names {
                let Some(number) = seccomp::syscalls::number(arch, name) else { continue };
                for number in [number.wrapping_sub(1), number, number + 1, u32::MAX] {
                    let around = arguments(arch, number, &evaluator.conditions(arch, number));
                    let step = around.len().div_ceil(40);
                    let around = around.into_iter().step_by(step);
                    for args in [edge_args, random].into_iter().chain(around) {
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
