//! The systemd cgroup driver: the group of a container is that of a scope.

use crate::record::CgroupPlace;
use crate::runtime::{Container, Runtime};
use crate::{Error, Id};
use cgroups::{Base, Group, Layout, Resources};
use spec::oci::Spec;
use systemd::scope::{self, Request};
use systemd::{Manager, Unit, Whose};

/// What makes groups for whom: the machine's manager for root of the machine, else the user's own.
fn whose() -> Whose {
    match crate::runtime::is_machines_root() {
        true => Whose::System,
        false => Whose::User,
    }
}

fn unit(spec: &Spec, id: &str) -> Result<Unit, Error> {
    let path = spec.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref());
    Ok(Unit::new(path, id, whose() == Whose::User)?)
}

impl CgroupPlace {
    /// Where the manager will make the group, as far as that is known beforehand.
    pub(crate) fn of_scope(spec: &Spec, id: &Id) -> Result<Self, Error> {
        Ok(Self::of_unit_path(&unit(spec, id.as_str())?.path()?))
    }

    fn of_unit_path(path: &str) -> Self {
        let (parent, name) = path.trim_matches('/').rsplit_once('/').unwrap_or(("", path));
        let (parent, name) = (parent.to_owned(), name.trim_matches('/').to_owned());
        Self { base: None, parent, name, systemd: true }
    }
}

/// Starts the scope of a new container. The place is where the group really is; the process that holds the scope is to
/// be dropped when the container's first one is in it.
pub(crate) fn start(
    spec: &Spec,
    id: &str,
    resources: &Resources,
) -> Result<(CgroupPlace, Group, Option<systemd::waiting::Waiting>), Error> {
    let unit = unit(spec, id)?;
    let extra = systemd::annotation::properties(&spec.annotations)?;
    let mut manager = Manager::connect(whose())?;
    let description = format!("container {id}");
    let request = Request { unit: &unit, resources, extra: &extra, description: &description };
    let started = scope::start(&mut manager, &Layout::detect_at(Base::Top)?, &request)?;
    Ok((CgroupPlace::of_unit_path(&started.path), started.group, started.waiting))
}

/// Stops the scope of a container, which may not be there, and removes what is left of its group.
pub(crate) fn stop(spec: &Spec, id: &str, place: &CgroupPlace) -> Result<(), Error> {
    let mut manager = Manager::connect(whose())?;
    let path = format!("{}/{}", place.parent, place.name);
    let layout = Layout::detect_at(Base::Top)?;
    Ok(scope::stop(&mut manager, &layout, &unit(spec, id)?, &path)?)
}

impl Runtime {
    /// Changes the limits of a container whose group is a scope.
    pub(crate) fn update_scope(
        &self,
        container: &Container,
        group: &Group,
        resources: &Resources,
    ) -> Result<(), Error> {
        let unit = unit(&container.spec()?, &container.record.id)?;
        let mut manager = Manager::connect(whose())?;
        let layout = Layout::detect_at(Base::Top)?;
        Ok(scope::update(&mut manager, &layout, &unit, group, resources)?)
    }
}
