//! A container's class of service for caches and memory bandwidth (config-linux.md, "IntelRdt").

use crate::Error;
use crate::record::ClassPlace;
use cgroups::rdt::{Assigned, Resctrl};
use spec::oci::IntelRdt;

/// Puts the process `pid` of the container `id` into its class.
pub(crate) fn assign(id: &str, rdt: &IntelRdt, pid: i32) -> Result<ClassPlace, Error> {
    let Assigned { class, made, monitored } = Resctrl::open()?.assign(id, rdt, pid)?;
    Ok(ClassPlace { class, made, monitored })
}

/// Whether the host has classes at all; asked before anything is made.
pub(crate) fn check() -> Result<(), Error> {
    Ok(Resctrl::open().map(drop)?)
}

impl ClassPlace {
    /// Removes what was made for the container `id`.
    pub(crate) fn remove(&self, id: &str) -> Result<(), Error> {
        let Self { class, made, monitored } = self.clone();
        Ok(Resctrl::open()?.remove(id, &Assigned { class, made, monitored })?)
    }
}
