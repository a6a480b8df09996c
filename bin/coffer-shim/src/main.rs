//! The task worker of the engine, and the shim of each container and exec, which are its forked children.
//!
//! Standard input is the control socket. `coffer-shim --exec-root DIR [--data-root DIR] [--policy FILE]
//! [--init FILE] [--cgroup-parent NAME]`

#![forbid(unsafe_code)]

use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;
use tasks::Settings;

fn main() -> ExitCode {
    let settings = match settings(std::env::args_os().skip(1)) {
        Ok(settings) => settings,
        Err(message) => return fail(&message),
    };
    let control = match std::io::stdin().as_fd().try_clone_to_owned() {
        Ok(control) => control,
        Err(error) => return fail(&format!("take control socket: {error}")),
    };
    match tasks::run(&settings, control) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let class = spec::Class::Internal;
            fail(&spec::Failure::from_error(class, &error).message)
        }
    }
}

fn fail(message: &str) -> ExitCode {
    eprintln!("coffer-shim: {message}");
    ExitCode::FAILURE
}

fn settings(arguments: impl Iterator<Item = std::ffi::OsString>) -> Result<Settings, String> {
    let mut exec_root = None;
    let mut settings = Settings {
        exec_root: PathBuf::new(),
        data_root: "/var/lib/docker".into(),
        policy: None,
        init: beside_us("coffer-init"),
        cgroup_parent: "docker".to_owned(),
    };
    let mut arguments = arguments;
    while let Some(name) = arguments.next() {
        let name = name.to_string_lossy().into_owned();
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--exec-root" => exec_root = Some(PathBuf::from(value)),
            "--data-root" => settings.data_root = value.into(),
            "--policy" => settings.policy = Some(value.into()),
            "--init" => settings.init = value.into(),
            "--cgroup-parent" => settings.cgroup_parent = value.to_string_lossy().into_owned(),
            _ => return Err(format!("unknown option {name}")),
        }
    }
    settings.exec_root = exec_root.ok_or("--exec-root is missing")?;
    Ok(settings)
}

/// A program in the directory of this one.
fn beside_us(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    own.with_file_name(name)
}
