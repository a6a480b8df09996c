//! Where a container's cgroup is, and getting hold of it.

use crate::record::CgroupPlace;
use crate::{Error, Id};
use cgroups::{Base, CgroupError, Group, Layout, Resources};

impl CgroupPlace {
    /// The place that `cgroupsPath` names: from the top if it is absolute, else from the caller's own group; a group of
    /// the container's name there if nothing is said.
    pub(crate) fn of(path: Option<&str>, id: &Id) -> Result<Self, Error> {
        let path = path.unwrap_or_default();
        let names: Vec<&str> =
            path.split('/').filter(|name| !name.is_empty() && *name != ".").collect();
        if names.contains(&"..") {
            return Err(Error::value("linux.cgroupsPath", path, "a path without \"..\""));
        }
        let base = match path.starts_with('/') {
            true => None,
            false => Some(own_groups()?),
        };
        let own = id.as_str();
        let (name, parent) = names.split_last().unwrap_or((&own, &[]));
        Ok(Self { base, parent: parent.join("/"), name: (*name).to_owned(), systemd: false })
    }

    fn layout(&self) -> Result<Layout, CgroupError> {
        match &self.base {
            None => Layout::detect_at(Base::Top),
            Some(own) => Layout::detect_below(own),
        }
    }

    /// The path from the base.
    fn path(&self) -> String {
        format!("{}/{}", self.parent, self.name)
    }

    /// Makes the group with its limits. One that is there without processes is taken over, as engines that make it
    /// beforehand expect.
    pub(crate) fn create(&self, resources: &Resources) -> Result<Group, CgroupError> {
        self.layout()?.parent(&self.parent)?.create_or_take(&self.name, resources)
    }

    /// Opens the group; nothing if it is gone.
    pub(crate) fn open(&self) -> Result<Option<Group>, CgroupError> {
        self.layout()?.open(&self.path())
    }
}

fn own_groups() -> Result<String, Error> {
    let path = "/proc/self/cgroup";
    std::fs::read_to_string(path).map_err(Error::file("read", path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absolute_path_begins_at_the_top_and_nothing_means_the_own_name() {
        let id = Id::parse("c1").unwrap();
        let place = |path| CgroupPlace::of(path, &id).unwrap();
        let top = place(Some("/docker//c2"));
        assert_eq!((top.base, &*top.parent, &*top.name), (None, "docker", "c2"));
        let alone = place(Some("/x"));
        assert_eq!((&*alone.parent, &*alone.name), ("", "x"));
        for path in [None, Some("")] {
            let own = place(path);
            assert!(own.base.is_some_and(|text| text.contains(':')));
            assert_eq!((&*own.parent, &*own.name), ("", "c1"));
        }
        assert_eq!(place(Some("a/b")).parent, "a");
        assert!(CgroupPlace::of(Some("/a/../b"), &id).is_err());
    }
}
