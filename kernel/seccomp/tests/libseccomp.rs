//! The programs beside those of libseccomp, for the same profiles, where its Python module is installed.
//!
//! Known differences, which are left out: numbers above those of the profile (ours answer ENOSYS), upper halves of
//! arguments of which the kernel takes 32 bits (ours do not look at them), calls behind `socketcall` and `ipc` under
//! conditions (ours refuse in doubt), and calls that its version does not know yet.

#![expect(clippy::unwrap_used, reason = "a test may fail in a function of its own")]

mod machine;

use machine::{Data, edges_of, run};
use seccomp::{Action, Arch, Condition, Filter, Instruction, Operator, Profile, Program, syscalls};
use std::collections::HashSet;
use std::io::Write;
use std::process::{Command, Stdio};

/// Reads lines and writes the numbers that it knows, and the program.
const SCRIPT: &str = r#"
import sys, seccomp
words = [line.split() for line in sys.stdin]
actions = {"allow": seccomp.ALLOW, "kill": seccomp.KILL, "killprocess": seccomp.KILL_PROCESS,
           "trap": seccomp.TRAP, "log": seccomp.LOG, "notify": seccomp.NOTIFY}
def action(text):
    if text.startswith("errno"): return seccomp.ERRNO(int(text[5:]))
    if text.startswith("trace"): return seccomp.TRACE(int(text[5:]))
    return actions[text]
ops = {"NotEqual": seccomp.NE, "Less": seccomp.LT, "LessOrEqual": seccomp.LE, "Equal": seccomp.EQ,
       "GreaterOrEqual": seccomp.GE, "Greater": seccomp.GT, "MaskedEqual": seccomp.MASKED_EQ}
filter = seccomp.SyscallFilter(defaction=action(words[0][1]))
filter.remove_arch(seccomp.Arch())
for name in words[1][1:]:
    filter.add_arch(seccomp.Arch(name))
for line in words[2:]:
    args = []
    for text in line[3:]:
        index, op, value, two = text.split(":")
        if op == "MaskedEqual":
            args.append(seccomp.Arg(int(index), ops[op], int(value), int(two) & int(value)))
        else:
            args.append(seccomp.Arg(int(index), ops[op], int(value)))
    try:
        filter.add_rule(action(line[1]), line[2], *args)
        for name in words[1][1:]:
            number = seccomp.resolve_syscall(seccomp.Arch(name), line[2])
            print(name, line[2], number & 0xffffffff, file=sys.stderr)
    except Exception:
        pass
filter.export_bpf(sys.stdout)
"#;

fn word(action: Action) -> String {
    match action {
        Action::Allow => "allow".into(),
        Action::KillThread => "kill".into(),
        Action::KillProcess => "killprocess".into(),
        Action::Trap => "trap".into(),
        Action::Log => "log".into(),
        Action::Notify => "notify".into(),
        Action::Errno(number) => format!("errno{number}"),
        Action::Trace(number) => format!("trace{number}"),
    }
}

/// The names that it has for architectures.
fn arch_word(arch: Arch) -> String {
    arch.name().trim_start_matches("SCMP_ARCH_").to_lowercase()
}

/// Its program, and the numbers that it knows, as `x86 accept4 364`; `None` where it is not installed or does not know an architecture.
fn theirs(filter: &Filter, interfaces: &[Arch]) -> Option<(Program, HashSet<String>)> {
    let mut text = format!("default {}\n", word(filter.default_action));
    let names: Vec<String> = interfaces.iter().map(|arch| arch_word(*arch)).collect();
    text.push_str(&format!("arches {}\n", names.join(" ")));
    for rule in filter.rules.iter().filter(|rule| rule.action != filter.default_action) {
        for name in &rule.names {
            for conditions in ways(&rule.conditions) {
                text.push_str(&format!("rule {} {name}", word(rule.action)));
                for Condition { index, operator, value, value_two } in conditions {
                    text.push_str(&format!(" {index}:{operator:?}:{value}:{value_two}"));
                }
                text.push('\n');
            }
        }
    }
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", SCRIPT])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .ok()?;
    child.stdin.take()?.write_all(text.as_bytes()).ok();
    let output = child.wait_with_output().ok()?;
    if !output.status.success() {
        return None;
    }
    let known = String::from_utf8_lossy(&output.stderr).lines().map(str::to_owned).collect();
    let big = interfaces[0].is_big_endian();
    let instructions = output.stdout.chunks_exact(8).map(|bytes| instruction(bytes, big)).collect();
    Some((Program { instructions, flags: 0 }, known))
}

fn instruction(bytes: &[u8], big: bool) -> Instruction {
    let (code, k) = ([bytes[0], bytes[1]], [bytes[4], bytes[5], bytes[6], bytes[7]]);
    let (code, k) = if big {
        (u16::from_be_bytes(code), u32::from_be_bytes(k))
    } else {
        (u16::from_le_bytes(code), u32::from_le_bytes(k))
    };
    Instruction { code, jt: bytes[2], jf: bytes[3], k }
}

/// As runC gives a rule to the library: several conditions on one argument are rules by themselves.
fn ways(conditions: &[Condition]) -> Vec<Vec<Condition>> {
    let indices: HashSet<u8> = conditions.iter().map(|condition| condition.index).collect();
    if indices.len() == conditions.len() {
        vec![conditions.to_vec()]
    } else {
        conditions.iter().map(|condition| vec![*condition]).collect()
    }
}

fn compare(filter: &Filter, host: Arch) -> usize {
    let interfaces: Vec<Arch> = std::iter::once(host)
        .chain(host.companions().iter().copied().filter(|arch| filter.architectures.contains(arch)))
        .collect();
    let Some((theirs, known)) = theirs(filter, &interfaces) else { return 0 };
    let ours = filter.compile(host).unwrap();
    let mut compared = 0;
    for arch in interfaces {
        let multiplexed = ["socketcall", "ipc"].map(|name| syscalls::number(arch, name));
        let named = |name: &&str| {
            filter.rules.iter().any(|rule| rule.names.iter().any(|other| other == name))
        };
        let newest = syscalls::all(arch)
            .filter(|(name, number)| named(name) && !(0xf_0000..0x10_0000).contains(number))
            .map(|(_, number)| number)
            .max();
        for (name, number) in syscalls::all(arch) {
            let line = format!("{} {name} {number}", arch_word(arch));
            let unknown = named(&name) && !known.contains(&line);
            if unknown
                || multiplexed.contains(&Some(number))
                || newest.is_none_or(|newest| number > newest)
            {
                continue;
            }
            let conditions = filter
                .rules
                .iter()
                .filter(|rule| rule.names.iter().any(|other| other == name))
                .flat_map(|rule| &rule.conditions);
            let mut all = vec![[0; 6], [3; 6]];
            for condition in conditions {
                for edge in edges_of(condition) {
                    let narrow = syscalls::is_narrow(arch, name, condition.index);
                    if narrow && edge > u64::from(u32::MAX) {
                        continue;
                    }
                    let mut args = [0; 6];
                    args[usize::from(condition.index)] = edge;
                    all.push(args);
                }
            }
            for args in all {
                let data = Data { number, audit: arch.audit().unwrap(), args };
                let (ours, mut theirs) = (run(&ours, &data), run(&theirs, &data));
                // When it writes for another byte order than its host's, some of its answers stay in the host's.
                if host.is_big_endian() && theirs.swap_bytes() == ours {
                    theirs = theirs.swap_bytes();
                }
                let rules: Vec<_> = filter
                    .rules
                    .iter()
                    .filter(|rule| rule.names.iter().any(|other| other == name))
                    .collect();
                assert_eq!(ours, theirs, "{name} of {arch:?} on {host:?}: {data:x?} {rules:x?}");
                compared += 1;
            }
        }
    }
    compared
}

const HOSTS: [Arch; 8] = [
    Arch::X86_64,
    Arch::Aarch64,
    Arch::Riscv64,
    Arch::Ppc64le,
    Arch::S390x,
    Arch::Mips64,
    Arch::Mipsel64,
    Arch::Ppc64,
];

#[test]
fn the_default_profile_answers_as_the_librarys_program_does() {
    for host in HOSTS {
        let filter = Profile::docker_default().resolve(host, &["CAP_SYS_ADMIN"], (6, 1)).unwrap();
        let plain = Profile::docker_default().resolve::<&str>(host, &[], (6, 1)).unwrap();
        for filter in [filter, plain] {
            println!("{host:?}: {} answers are the same", compare(&filter, host));
        }
    }
}

#[test]
fn every_operator_answers_as_the_librarys_program_does() {
    use Operator::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, MaskedEqual, NotEqual};
    let operators = [NotEqual, Less, LessOrEqual, Equal, GreaterOrEqual, Greater, MaskedEqual];
    let values = [1, 7, 0xffff_ffff, 1 << 32, (9 << 32) | 5, u64::MAX - 1];
    for host in HOSTS {
        let mut names = syscalls::all(host)
            .map(|(name, _)| name.to_owned())
            .filter(|name| !(0..6).any(|index| syscalls::is_narrow(host, name, index)));
        let mut rules = Vec::new();
        for (at, operator) in operators.into_iter().cycle().take(70).enumerate() {
            let condition = |index: usize, shift: usize| Condition {
                index: (index % 6) as u8,
                operator,
                value: values[(at + shift) % values.len()],
                value_two: values[(at + shift + 1) % values.len()],
            };
            let Some(name) = names.next() else { break };
            // One, two on different arguments, two on one. Of two that overlap the library's 2.5.4 forgets one.
            let conditions = match at % 3 {
                1 => vec![condition(at, 0), condition(at + 1, 2)],
                2 if operator == Equal => vec![condition(at, 0), condition(at, 3)],
                _ => vec![condition(at, 0)],
            };
            rules.push(seccomp::Rule { names: vec![name], action: Action::Errno(7), conditions });
        }
        let filter = Filter {
            default_action: Action::Allow,
            architectures: Vec::new(),
            flags: Vec::new(),
            rules,
            listener_path: None,
            listener_metadata: None,
        };
        println!("{host:?}: {} answers are the same", compare(&filter, host));
    }
}
