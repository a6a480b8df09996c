//! Kernel parameters that a container may set: those that its own namespaces hold.

use crate::text::c_string;
use crate::{NamespacePlan, PlanError};
use std::collections::BTreeMap;
use std::ffi::CString;
use sys::clone::Namespaces;

/// One parameter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SysctlPlan {
    /// The file, relative to a procfs root: `sys/net/ipv4/ip_forward`.
    pub path: CString,
    /// What is written.
    pub value: CString,
}

const IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.shm_next_id",
];

pub(crate) fn plan(
    sysctls: &BTreeMap<String, String>,
    namespaces: &NamespacePlan,
) -> Result<Vec<SysctlPlan>, PlanError> {
    sysctls.iter().map(|(name, value)| one(name, value, namespaces)).collect()
}

fn one(name: &str, value: &str, namespaces: &NamespacePlan) -> Result<SysctlPlan, PlanError> {
    let refused = || PlanError::Sysctl { name: name.chars().take(200).collect() };
    let path = path_of(name);
    let dotted = path.replace('/', ".");
    let parts_are_names = path.split('/').all(|part| !matches!(part, "" | "." | ".."));
    let separate = if IPC.contains(&dotted.as_str()) || path.starts_with("fs/mqueue/") {
        namespaces.separate(Namespaces::IPC)
    } else if path.starts_with("net/") {
        namespaces.separate(Namespaces::NET)
    } else if dotted == "kernel.domainname" {
        namespaces.separate(Namespaces::UTS)
    } else if path.starts_with("user/") {
        namespaces.separate(Namespaces::USER)
    } else {
        false
    };
    if !separate || !parts_are_names {
        return Err(refused());
    }
    let field = format!("linux.sysctl {name}");
    let path = c_string(&field, &format!("sys/{path}"))?;
    Ok(SysctlPlan { path, value: c_string(&field, value)? })
}

/// The file of a parameter as sysctl(8) reads names: the first separator decides whether dots or slashes separate, the
/// other one is then part of a component (interfaces with dots in their names).
fn path_of(name: &str) -> String {
    match name.find(['.', '/']).map(|at| name.as_bytes()[at]) {
        Some(b'.') => {
            let swap = |c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            };
            name.chars().map(swap).collect()
        }
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan_one(name: &str, new: Namespaces) -> Result<String, String> {
        let namespaces = NamespacePlan { new, ..NamespacePlan::default() };
        let list = BTreeMap::from([(name.to_owned(), "1".to_owned())]);
        plan(&list, &namespaces)
            .map(|plans| plans[0].path.to_str().unwrap().to_owned())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn only_parameters_of_separate_namespaces_are_allowed() {
        let net = Namespaces::NET;
        assert_eq!(plan_one("net.ipv4.ip_forward", net).unwrap(), "sys/net/ipv4/ip_forward");
        assert_eq!(plan_one("net/ipv4/conf/eth0.1/x", net).unwrap(), "sys/net/ipv4/conf/eth0.1/x");
        assert_eq!(plan_one("net.ipv4.conf.eth0/1.x", net).unwrap(), "sys/net/ipv4/conf/eth0.1/x");
        assert_eq!(plan_one("kernel.shmmax", Namespaces::IPC).unwrap(), "sys/kernel/shmmax");
        for (name, new) in [
            ("net.ipv4.ip_forward", Namespaces::IPC),
            ("kernel.shmmax", net),
            ("kernel.core_pattern", Namespaces::all()),
            ("net/../kernel/core_pattern", Namespaces::all()),
            ("net..kernel.core_pattern", Namespaces::all()),
            ("net.ipv4.//.//.kernel", Namespaces::all()),
            ("kernel.hostname", Namespaces::all()),
        ] {
            let wanted = format!("invalid sysctl {name:?}: not in a separate kernel namespace");
            assert_eq!(plan_one(name, new).unwrap_err(), wanted);
        }
    }
}
