//! Writing the limits of a group.

use crate::devices::{self, Policy};
use crate::dir::Dir;
use crate::layout::Mode;
use crate::settings::{self, Missing, Setting, Version};
use crate::{CgroupError, Group, Resources};
use rustix::fs::OFlags;
use rustix::io::Errno;
use spec::oci::DeviceRule;
use std::os::fd::OwnedFd;
use sys::bpf::{self, AttachMode};

impl Group {
    /// Changes the limits of a group that may have processes. Fields that are not set stay as they are. When a write
    /// fails, those before it hold.
    pub fn update(&self, resources: &Resources) -> Result<(), CgroupError> {
        let version = |name: &str| self.places.version(name);
        let mut settings = settings::plan(&self.path(), resources, &version)?;
        self.check_memory(resources)?;
        if self.mode == Mode::V2 {
            self.keep_quota(resources, &mut settings)?;
        }
        self.apply(&settings)?;
        self.set_devices(&resources.devices)
    }

    /// A new period without a quota must not lift the quota, which is in the same file.
    fn keep_quota(
        &self,
        resources: &Resources,
        settings: &mut [Setting],
    ) -> Result<(), CgroupError> {
        let quota = resources.cpu.as_ref().and_then(|cpu| cpu.quota).filter(|quota| *quota != 0);
        let setting = settings.iter_mut().find(|setting| setting.file == "cpu.max");
        if let (None, Some(setting), Some(dir)) = (quota, setting, self.v2()) {
            let current = dir.read("cpu.max")?;
            let quota = current.split_whitespace().next().unwrap_or("max");
            setting.value = setting.value.replacen("max", quota, 1);
        }
        Ok(())
    }

    /// `checkBeforeUpdate`: v1 refuses a limit below the use by itself, v2 ends processes until it holds.
    fn check_memory(&self, resources: &Resources) -> Result<(), CgroupError> {
        let Some(memory) = &resources.memory else { return Ok(()) };
        let Some(dir) = self.v2().filter(|_| self.mode == Mode::V2) else { return Ok(()) };
        if memory.check_before_update != Some(true) {
            return Ok(());
        }
        let current = dir.read_if_there("memory.current")?.unwrap_or_default();
        let usage: u64 = current.trim().parse().unwrap_or(0);
        let limits =
            [("the limit of memory and swap", memory.swap), ("the memory limit", memory.limit)];
        for (what, limit) in limits {
            let limit = limit.filter(|limit| *limit > 0).unwrap_or(i64::MAX);
            if limit.cast_unsigned() <= usage {
                let group = self.path();
                return Err(CgroupError::WouldEndProcesses { what, group, limit, usage });
            }
        }
        Ok(())
    }

    fn dir_of(&self, setting: &Setting) -> Result<&Dir, CgroupError> {
        let dir = match setting.version {
            Version::V1 => self.v1(&setting.controller),
            Version::V2 => self.v2(),
        };
        dir.ok_or_else(|| CgroupError::NoController {
            group: self.path(),
            file: setting.file.clone(),
            controller: setting.controller.to_string(),
        })
    }

    /// Writes settings. Where two files limit each other (memory with memory and swap; quota, period and burst) the right
    /// order depends on their present values: what the kernel calls invalid is tried once more after all others.
    pub(crate) fn apply(&self, settings: &[Setting]) -> Result<(), CgroupError> {
        let mut again = Vec::new();
        for setting in settings {
            match self.apply_one(setting) {
                Err(CgroupError::Write { errno: Errno::INVAL, .. }) => again.push(setting),
                other => other?,
            }
        }
        again.into_iter().try_for_each(|setting| self.apply_one(setting))
    }

    fn apply_one(&self, setting: &Setting) -> Result<(), CgroupError> {
        let dir = self.dir_of(setting)?;
        let (mut file, mut value) = (&setting.file, &setting.value);
        let mut result = dir.try_write(file, value);
        if let (Err(Errno::NOENT), Some((other, text))) = (result, &setting.instead) {
            (file, value) = (other, text);
            result = dir.try_write(file, value);
        }
        match result {
            Err(Errno::NOENT | Errno::OPNOTSUPP) if setting.missing == Missing::Skip => Ok(()),
            Err(Errno::BUSY) if file == "memory.limit_in_bytes" => {
                let usage = dir.read("memory.usage_in_bytes")?.trim().parse().unwrap_or(0);
                Err(CgroupError::MemoryInUse { group: self.path(), limit: value.clone(), usage })
            }
            Err(errno) => Err(dir.write_error(file, value, errno)),
            Ok(()) => Ok(()),
        }
    }

    /// Sets which devices may be used; without rules everything stays as it is.
    pub(crate) fn set_devices(&self, rules: &[DeviceRule]) -> Result<(), CgroupError> {
        if rules.is_empty() {
            return Ok(());
        }
        let rules = devices::check(rules)?;
        if self.mode == Mode::V2 {
            let dir = self.v2().ok_or_else(|| self.no_devices())?;
            return self.attach_devices(dir, &rules);
        }
        let dir = self.v1("devices").ok_or_else(|| self.no_devices())?;
        let current = Policy::parse(&dir.read("devices.list")?);
        let mut open: Option<(&str, OwnedFd)> = None;
        for (file, line) in Policy::of(&rules)?.writes(current.as_ref()) {
            let failed = |errno| dir.write_error(file, &line, errno);
            let fd = match open.take() {
                Some((name, fd)) if name == file => fd,
                _ => dir.open_file(file, OFlags::WRONLY).map_err(failed)?,
            };
            rustix::io::retry_on_intr(|| rustix::io::write(&fd, line.as_bytes()))
                .map_err(failed)?;
            open = Some((file, fd));
        }
        Ok(())
    }

    fn no_devices(&self) -> CgroupError {
        CgroupError::NoController {
            group: self.path(),
            file: "devices.allow".into(),
            controller: "devices".into(),
        }
    }

    /// Attaches the program for `rules`, in the place of the one that is there, if there is one: at no time is the group
    /// without any.
    pub(crate) fn attach_devices(
        &self,
        dir: &Dir,
        rules: &[devices::Rule],
    ) -> Result<(), CgroupError> {
        let attach = || {
            let program = bpf::load_device_program(&crate::program::compile(rules))?;
            let former = bpf::query_device_programs(dir)?;
            if let [only] = former[..] {
                return bpf::replace_device_program(dir, &program, bpf::program_by_id(only)?);
            }
            bpf::attach_device_program(dir, &program, AttachMode::Multi)?;
            former
                .into_iter()
                .try_for_each(|id| bpf::detach_device_program(dir, bpf::program_by_id(id)?))
        };
        attach().map_err(|source| CgroupError::DeviceProgram {
            group: self.path(),
            source: Box::new(source),
        })
    }
}
