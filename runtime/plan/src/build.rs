//! The whole plan from the whole specification.

use crate::text::{absolute, c_string};
use crate::{Given, NamespacePlan, Plan, PlanError, devices, mounts, namespaces, options, sysctl};
use spec::oci::{Hooks, Linux, Spec};
use std::ffi::CString;
use sys::clone::Namespaces;

impl Plan {
    /// The plan for the first process of the container that `spec` describes, beside what is `given`. Everything is
    /// checked here; nothing has happened yet when this fails.
    pub fn new(spec: &Spec, given: &Given) -> Result<Self, PlanError> {
        let linux = spec.linux.as_ref();
        let linux = linux.ok_or_else(|| PlanError::Missing { field: "linux".to_owned() })?;
        version(&spec.oci_version)?;
        reject_unsupported(spec, linux)?;
        let namespaces = namespaces::plan(linux, given)?;
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
            namespaces,
        })
    }
}

fn version(version: &str) -> Result<(), PlanError> {
    match version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(PlanError::value("ociVersion", version, "1.0.0 to 1.3.0")),
    }
}

fn reject_unsupported(spec: &Spec, linux: &Linux) -> Result<(), PlanError> {
    if spec.hooks.as_ref().is_some_and(has_hooks) {
        return Err(PlanError::unsupported("hooks", "no program is called on behalf of a bundle"));
    }
    if !linux.net_devices.is_empty() {
        return Err(PlanError::unsupported("linux.netDevices", "interfaces are moved by networks"));
    }
    if linux.intel_rdt.is_some() {
        return Err(PlanError::unsupported("linux.intelRdt", "resctrl is not used"));
    }
    if !linux.time_offsets.is_empty() {
        return Err(PlanError::unsupported("linux.timeOffsets", "clocks are the host's"));
    }
    Ok(())
}

fn has_hooks(hooks: &Hooks) -> bool {
    let Hooks { prestart, create_runtime, create_container, start_container, poststart, poststop } =
        hooks;
    [prestart, create_runtime, create_container, start_container, poststart, poststop]
        .iter()
        .any(|list| !list.is_empty())
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
    if !namespaces.new.contains(Namespaces::UTS) {
        return Err(PlanError::value(field, name, "empty without a new UTS namespace"));
    }
    c_string(field, name).map(Some)
}
