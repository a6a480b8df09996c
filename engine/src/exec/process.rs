//! The process of an exec, as the runtime specification describes it.

use crate::container::config::ContainerConfig;
use crate::container::security;
use crate::container::user::{self, UserFiles};
use crate::open::Shared;
use crate::spec::{caps, environment, rlimits};
use api_types::exec::CreateBody;
use messages::Fd;
use messages::storage::Root;
use spec::Failure;
use spec::oci::{ConsoleSize, Process, User};

/// Who the process runs as, and that user's home directory.
pub(super) async fn user(
    shared: &Shared,
    config: &ContainerConfig,
    asked: &str,
) -> Result<(User, String), Failure> {
    let pidfd = shared.workers.open_init(config.id.clone()).await?;
    let root = Root::Running { id: config.id.clone(), pidfd: Fd(0) };
    let files = user::read(shared, root, Some(pidfd)).await?;
    resolve(&files, config, asked)
}

fn resolve(
    files: &UserFiles,
    config: &ContainerConfig,
    asked: &str,
) -> Result<(User, String), Failure> {
    let name = if asked.is_empty() { &config.config.user } else { asked };
    let user = files.resolve(name, &config.host.group_add)?;
    Ok((user, files.home(name).unwrap_or_else(|| "/".into())))
}

/// The process; `size` is the terminal's (lines, columns).
pub(super) fn process(
    shared: &Shared,
    config: &ContainerConfig,
    body: &CreateBody,
    (user, home): (User, String),
    size: Option<[u32; 2]>,
) -> Result<Process, Failure> {
    let host = &config.host;
    let own = environment::environment(&config.config.hostname, body.tty, &[], &config.config.env);
    let env = environment::with_home(environment::merge(own, &body.env), &home);
    let cwd =
        [&body.working_dir, &config.config.working_dir].into_iter().find(|path| !path.is_empty());
    let granted = caps::granted(&host.cap_add, &host.cap_drop, host.privileged || body.privileged)?;
    let security = security::parse(&host.security_opt, shared.config.no_new_privileges)?;
    let size = size.filter(|[height, width]| body.tty && *height > 0 && *width > 0);
    Ok(Process {
        terminal: body.tty,
        console_size: size.map(|[height, width]| ConsoleSize { height, width }),
        capabilities: Some(caps::sets(granted, user.uid)),
        user,
        args: body.cmd.to_vec(),
        env,
        cwd: cwd.cloned().unwrap_or_else(|| "/".into()),
        rlimits: rlimits::rlimits(&host.ulimits, &shared.config.ulimits),
        no_new_privileges: security.no_new_privileges,
        oom_score_adj: i32::try_from(host.oom_score_adj).ok(),
        ..Process::default()
    })
}
