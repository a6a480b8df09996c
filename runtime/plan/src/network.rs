//! Interfaces of the host that move into the container (config-linux.md, network devices, 1.3).

use crate::{Given, NamespacePlan, PlanError};
use spec::oci::Linux;
use sys::clone::Namespaces;

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NetDevicePlan {
    /// Its name on the host.
    pub host: String,
    /// Its name in the container.
    pub name: String,
}

pub(crate) fn plan(
    linux: &Linux,
    namespaces: &NamespacePlan,
    given: &Given,
) -> Result<Vec<NetDevicePlan>, PlanError> {
    if linux.net_devices.is_empty() {
        return Ok(Vec::new());
    }
    if !given.administrator {
        return Err(PlanError::unsupported("linux.netDevices", "interfaces are moved by networks"));
    }
    if !namespaces.separate(Namespaces::NET) {
        let value = format!("{} interfaces", linux.net_devices.len());
        let allowed = "empty without a network namespace of the container";
        return Err(PlanError::value("linux.netDevices", value, allowed));
    }
    let mut plans: Vec<NetDevicePlan> = Vec::new();
    for (host, device) in &linux.net_devices {
        let name = device.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(host);
        check("linux.netDevices", host)?;
        check(&format!("linux.netDevices.{host}.name"), name)?;
        if plans.iter().any(|plan| plan.name == name) {
            let field = format!("linux.netDevices.{host}.name");
            return Err(PlanError::value(field, name, "given to one interface"));
        }
        plans.push(NetDevicePlan { host: host.clone(), name: name.to_owned() });
    }
    Ok(plans)
}

/// What the kernel takes as a name (dev_valid_name), without the `%` that it would replace by a number.
fn check(field: &str, name: &str) -> Result<(), PlanError> {
    let is_plain = |b: u8| b > b' ' && b != 0x7f && !matches!(b, b'/' | b':' | b'%');
    match (1..=15).contains(&name.len())
        && name.bytes().all(is_plain)
        && !matches!(name, "." | "..")
    {
        true => Ok(()),
        false => Err(PlanError::value(
            field,
            name,
            "an interface name of 1 to 15 bytes without spaces, slashes, colons and percent signs",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use spec::oci::NetDevice;

    fn plan_of(list: &[(&str, Option<&str>)], new: Namespaces) -> Result<Vec<String>, String> {
        let device = |(host, name): &(&str, Option<&str>)| {
            let name = name.map(str::to_owned);
            ((*host).to_owned(), NetDevice { name })
        };
        let linux = Linux { net_devices: list.iter().map(device).collect(), ..Linux::default() };
        let namespaces = NamespacePlan { new, ..NamespacePlan::default() };
        let given = Given { administrator: true, ..Given::default() };
        plan(&linux, &namespaces, &given)
            .map(|plans| plans.into_iter().map(|plan| plan.name).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_interface_keeps_its_name_or_gets_one_that_is_valid_and_unique() {
        let net = Namespaces::NET;
        assert_eq!(plan_of(&[("a", None), ("b", Some("eth0"))], net).unwrap(), ["a", "eth0"]);
        for (list, new) in [
            (vec![("a", Some("x/y"))], net),
            (vec![("a", Some("0123456789abcdef"))], net),
            (vec![("a", Some("eth%d"))], net),
            (vec![("a", Some("b")), ("b", None)], net),
            (vec![("a", None)], Namespaces::IPC),
        ] {
            assert!(plan_of(&list, new).is_err(), "{list:?}");
        }
    }
}
