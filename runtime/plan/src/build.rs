//! The whole plan from the whole specification.

use crate::text::{absolute, c_string};
use crate::{
    Given, IdMap, NamespacePlan, Plan, PlanError, devices, hooks, mounts, namespaces, network,
    options, sysctl,
};
use spec::oci::{Linux, Spec};
use std::ffi::CString;
use sys::clone::Namespaces;

impl Plan {
    /// The plan for the first process of the container that `spec` describes, beside what is `given`. Everything is
    /// checked here; nothing has happened yet when this fails.
    pub fn new(spec: &Spec, given: &Given) -> Result<Self, PlanError> {
        let linux = spec.linux.as_ref();
        let linux = linux.ok_or_else(|| PlanError::Missing { field: "linux".to_owned() })?;
        version(&spec.oci_version)?;
        reject_unsupported(linux, given)?;
        let hooks = hooks::plan(spec.hooks.as_ref(), given)?;
        let namespaces = namespaces::plan(linux, given)?;
        users_are_mapped(spec, &namespaces)?;
        let mounts = mounts::plan(&spec.mounts, linux, &namespaces, given)?;
        let (devices, links) = devices::plan(linux, &mounts, &namespaces)?;
        let propagation = linux.rootfs_propagation.as_deref().unwrap_or_default();
        Ok(Self {
            root_readonly: spec.root.as_ref().is_some_and(|root| root.readonly),
            root_propagation: options::root_propagation(propagation)?,
            mounts,
            devices,
            links,
            masked: paths("linux.maskedPaths", &linux.masked_paths)?,
            readonly: paths("linux.readonlyPaths", &linux.readonly_paths)?,
            hostname: host_name("hostname", spec.hostname.as_deref(), &namespaces)?,
            domainname: host_name("domainname", spec.domainname.as_deref(), &namespaces)?,
            sysctls: sysctl::plan(&linux.sysctl, &namespaces)?,
            process: Self::process(spec.process.as_ref(), linux, given)?,
            net_devices: network::plan(linux, &namespaces, given)?,
            hooks,
            namespaces,
        })
    }
}

/// Versions 1.0.0 to 1.3 and what comes after them in the same major version: later ones only add.
fn version(version: &str) -> Result<(), PlanError> {
    let plain = version.split(['-', '+']).next().unwrap_or_default();
    let mut numbers = plain.split('.').map(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next(), numbers.next(), numbers.next()) {
        (Some(Some(1)), Some(Some(_)), Some(Some(_)), None) => Ok(()),
        _ => Err(PlanError::value("ociVersion", version, "1.0.0 to 1.3.0")),
    }
}

fn reject_unsupported(linux: &Linux, given: &Given) -> Result<(), PlanError> {
    if linux.intel_rdt.is_some() && !given.administrator {
        return Err(PlanError::unsupported("linux.intelRdt", "resctrl is not used"));
    }
    Ok(())
}

/// Ids of the process have a place in a new user namespace.
fn users_are_mapped(spec: &Spec, namespaces: &NamespacePlan) -> Result<(), PlanError> {
    let (Some(process), true) = (&spec.process, namespaces.new.contains(Namespaces::USER)) else {
        return Ok(());
    };
    let check = |field: &str, id: u32, maps: &[IdMap], of: &str| {
        let has = |map: &IdMap| id.checked_sub(map.inside).is_some_and(|at| at < map.count);
        match maps.iter().any(has) {
            true => Ok(()),
            false => Err(PlanError::value(field, id.to_string(), format!("mapped by {of}"))),
        }
    };
    check("process.user.uid", process.user.uid, &namespaces.uids, "linux.uidMappings")?;
    check("process.user.gid", process.user.gid, &namespaces.gids, "linux.gidMappings")?;
    for (index, gid) in process.user.additional_gids.iter().enumerate() {
        let field = format!("process.user.additionalGids[{index}]");
        check(&field, *gid, &namespaces.gids, "linux.gidMappings")?;
    }
    Ok(())
}

fn paths(field: &str, list: &[String]) -> Result<Vec<CString>, PlanError> {
    list.iter()
        .enumerate()
        .map(|(index, path)| {
            let field = format!("{field}[{index}]");
            c_string(&field, &absolute(&field, path)?)
        })
        .collect()
}

fn host_name(
    field: &str,
    name: Option<&str>,
    namespaces: &NamespacePlan,
) -> Result<Option<CString>, PlanError> {
    let Some(name) = name.filter(|name| !name.is_empty()) else { return Ok(None) };
    if name.len() > 64 {
        return Err(PlanError::value(field, name, "at most 64 bytes"));
    }
    if !namespaces.separate(Namespaces::UTS) {
        return Err(PlanError::value(field, name, "empty without a UTS namespace"));
    }
    c_string(field, name).map(Some)
}
