//! What older versions mean by the body of a create or an update.

use crate::version::Version;
use api_types::List;
use api_types::container::{CreateBody, UpdateBody};
use api_types::mount::Mount;
use api_types::network::{EndpointSettings, PortBinding};
use spec::Failure;

const SYSCTLS: &str = "com.docker.network.endpoint.sysctls";

/// Turns the body into its newest form; gives warnings for the client.
pub(crate) fn adapt(version: Version, body: &mut CreateBody) -> Result<Vec<String>, Failure> {
    let mut warnings = Vec::new();
    rename_default_network(body);
    if version.before(40) && body.host_config.ipc_mode.is_empty() {
        body.host_config.ipc_mode = "shareable".into();
    }
    if version.before(42) {
        body.host_config.console_size = [0, 0];
    }
    if version.before(43) {
        body.host_config.annotations = Default::default();
    }
    if version.before(44) {
        if let Some(health) = &mut body.config.healthcheck {
            health.start_interval = 0;
        }
        refuse_many_endpoints(body)?;
    }
    if version.before(48) {
        for endpoint in body.networking_config.endpoints_config.values_mut().flatten() {
            endpoint.gw_priority = 0;
        }
    }
    for mount in body.host_config.mounts.iter_mut() {
        adapt_mount(version, mount)?;
    }
    warnings.extend(volume_driver_warning(version, body));
    warnings.extend(adapt_mac_address(version, body)?);
    warnings.extend(adapt_sysctls(version, body)?);
    warnings.extend(fill_port_bindings(version, body));
    if body.host_config.pids_limit.is_some_and(|limit| limit <= 0) {
        body.host_config.pids_limit = None;
    }
    Ok(warnings)
}

/// Turns the body of an update into its newest form.
pub(crate) fn adapt_update(version: Version, body: &mut UpdateBody) {
    if version.before(40) {
        body.pids_limit = None;
    }
    if version.before(55) {
        body.blkio_weight_device = List::default();
        body.blkio_device_read_bps = List::default();
        body.blkio_device_write_bps = List::default();
        body.blkio_device_read_iops = List::default();
        body.blkio_device_write_iops = List::default();
    }
    if body.pids_limit.is_some_and(|limit| limit <= 0) {
        body.pids_limit = Some(0);
    }
}

/// The network `default` is the bridge, as a mode and as the name of an endpoint.
fn rename_default_network(body: &mut CreateBody) {
    let mode = &mut body.host_config.network_mode;
    if mode.is_empty() || mode == "default" {
        *mode = "bridge".into();
        let endpoints = &mut body.networking_config.endpoints_config;
        if endpoints.contains_key("default")
            && let Some(endpoint) = endpoints.remove("default")
        {
            endpoints.insert("bridge".into(), endpoint);
        }
    }
}

fn refuse_many_endpoints(body: &CreateBody) -> Result<(), Failure> {
    let endpoints = &body.networking_config.endpoints_config;
    if endpoints.len() < 2 {
        return Ok(());
    }
    let names: Vec<&str> = endpoints.keys().map(String::as_str).collect();
    Err(Failure::invalid(format!(
        "Container cannot be created with multiple network endpoints: {}",
        names.join(", ")
    )))
}

fn adapt_mount(version: Version, mount: &mut Mount) -> Result<(), Failure> {
    let refused = |message: String| Err(Failure::invalid(message));
    if version.before(42) {
        if mount.kind != "volume" {
            mount.volume_options = None;
        }
        if mount.kind != "tmpfs" {
            mount.tmpfs_options = None;
        }
        if let Some(options) = &mut mount.bind_options {
            options.create_mountpoint = false;
            options.non_recursive &= !version.before(40);
        }
    } else {
        let kind = &mount.kind;
        let wrong = [
            ("VolumeOptions", mount.volume_options.is_some() && kind != "volume"),
            ("BindOptions", mount.bind_options.is_some() && kind != "bind"),
            ("TmpfsOptions", mount.tmpfs_options.is_some() && kind != "tmpfs"),
        ];
        if let Some((what, _)) = wrong.iter().find(|(_, wrong)| *wrong) {
            return refused(format!("{what} must not be specified on mount type {kind:?}"));
        }
    }
    if version.before(44) && mount.kind == "bind" {
        let options = mount.bind_options.get_or_insert_default();
        if options.read_only_force_recursive {
            return refused("BindOptions.ReadOnlyForceRecursive needs API v1.44 or newer".into());
        }
        options.read_only_non_recursive = mount.read_only;
    }
    let has_subpath = mount.volume_options.as_ref().is_some_and(|o| !o.subpath.is_empty());
    if version.before(45) && has_subpath {
        return refused("VolumeOptions.Subpath needs API v1.45 or newer".into());
    }
    if version.before(48) && mount.kind == "image" {
        return refused("Mount type \"Image\" needs API v1.48 or newer".into());
    }
    Ok(())
}

fn volume_driver_warning(version: Version, body: &CreateBody) -> Option<String> {
    if version.before(48) || body.host_config.volume_driver.is_empty() {
        return None;
    }
    let has_driver = |mount: &Mount| {
        let options = mount.volume_options.as_ref();
        options.and_then(|o| o.driver_config.as_ref()).is_some_and(|d| !d.name.is_empty())
    };
    let mut mounts = body.host_config.mounts.iter();
    mounts.any(|mount| mount.kind == "volume" && !has_driver(mount)).then(|| {
        "WARNING: the container-wide volume-driver configuration is ignored for volumes specified via 'mount'. \
         Use '--mount type=volume,volume-driver=...' instead"
            .to_owned()
    })
}

/// The network mode is one that gives the container an endpoint of its own.
fn has_endpoint(mode: &str) -> bool {
    !matches!(mode, "host" | "none") && !mode.starts_with("container:")
}

/// The settings of the endpoint that the network mode means; made when there is none.
fn main_endpoint(
    version: Version,
    body: &mut CreateBody,
) -> Result<&mut EndpointSettings, Failure> {
    let mode = body.host_config.network_mode.clone();
    let endpoints = &mut body.networking_config.endpoints_config;
    let key = if endpoints.is_empty() || endpoints.contains_key(&mode) {
        Some(mode)
    } else if version.before(44) {
        endpoints.keys().next().cloned()
    } else {
        None
    };
    match key {
        Some(key) => Ok(endpoints.entry(key).or_default().get_or_insert_default()),
        None => Err(Failure::invalid(
            "HostConfig.NetworkMode must match the identity of a network in NetworkSettings.Networks",
        )),
    }
}

/// Until 1.43 the hardware address belongs to the container, since 1.44 to an endpoint, since 1.52 only to that.
fn adapt_mac_address(version: Version, body: &mut CreateBody) -> Result<Option<String>, Failure> {
    let address = body.config.mac_address.clone();
    if version.before(44) {
        for endpoint in body.networking_config.endpoints_config.values_mut().flatten() {
            endpoint.mac_address.clear();
        }
    }
    if address.is_empty() {
        return Ok(None);
    }
    if !version.before(52) {
        return Err(Failure::invalid(
            "container-wide MAC address no longer supported; use endpoint-specific MAC address instead",
        ));
    }
    let usable = has_endpoint(&body.host_config.network_mode);
    if version.before(44) {
        if !usable {
            return Err(Failure::invalid("conflicting options: mac-address and the network mode"));
        }
        main_endpoint(version, body)?.mac_address = address;
        return Ok(None);
    }
    if usable {
        let endpoint = main_endpoint(version, body)?;
        if endpoint.mac_address.is_empty() {
            endpoint.mac_address = address;
        } else if !endpoint.mac_address.eq_ignore_ascii_case(&address) {
            return Err(Failure::invalid(
                "the container-wide MAC address must match the endpoint-specific MAC address for the main network, \
                 or be left empty",
            ));
        }
    }
    Ok(Some(
        "The container-wide MacAddress field is now deprecated. It should be specified in EndpointsConfig instead."
            .into(),
    ))
}

/// Until 1.47 kernel parameters of one interface come with the others; they belong to its endpoint.
fn adapt_sysctls(version: Version, body: &mut CreateBody) -> Result<Option<String>, Failure> {
    let mode = &body.host_config.network_mode;
    if mode == "host" || mode.starts_with("container:") {
        return Ok(None);
    }
    let (mut names, mut settings) = (Vec::new(), Vec::new());
    for (name, value) in &body.host_config.sysctls {
        let parts: Vec<&str> = name.splitn(5, '.').collect();
        let ["net", family, kind, interface, rest] = parts[..] else { continue };
        if !interface.starts_with("eth") {
            continue;
        }
        if !version.before(48) {
            return Err(Failure::invalid(format!(
                "interface specific sysctl setting {name:?} must be supplied using driver option '{SYSCTLS}'"
            )));
        }
        if interface != "eth0" {
            return Err(Failure::invalid(format!(
                "unable to determine network endpoint for sysctl {name}, use driver option '{SYSCTLS}' to set \
                 per-interface sysctls"
            )));
        }
        names.push(name.clone());
        settings.push(format!("net.{family}.{kind}.IFNAME.{rest}={value}"));
    }
    if names.is_empty() {
        return Ok(None);
    }
    let (mut option, moved) = (settings.join(","), names.join(","));
    let warning = format!("Migrated sysctl {moved:?} to DriverOpts{{{SYSCTLS:?}:{option:?}}}.");
    for name in &names {
        body.host_config.sysctls.remove(name);
    }
    let options = &mut main_endpoint(version, body)?.driver_opts;
    if let Some(old) = options.get(SYSCTLS) {
        option = format!("{option},{old}");
    }
    options.insert(SYSCTLS.into(), option);
    Ok(Some(warning))
}

/// A port without bindings is published at a free port; since 1.52 with a warning.
fn fill_port_bindings(version: Version, body: &mut CreateBody) -> Option<String> {
    let bindings = &mut body.host_config.port_bindings;
    let empty: Vec<String> =
        bindings.iter().filter(|(_, list)| list.is_empty()).map(|(port, _)| port.clone()).collect();
    for port in &empty {
        bindings.insert(port.clone(), List::from(vec![PortBinding::default()]));
    }
    (!empty.is_empty() && !version.before(52)).then(|| {
        format!(
            "Following container port(s) have an empty list of port-bindings: {}. Such bindings will be discarded in a \
             future version.",
            empty.join(", ")
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use api_types::lenient;

    /// The body after it was adapted, and the warnings; or the refusal.
    fn adapted(minor: u32, body: &str) -> Result<(CreateBody, Vec<String>), String> {
        let mut body: CreateBody = lenient::from_slice(body.as_bytes()).unwrap();
        match adapt(Version::new(1, minor), &mut body) {
            Ok(warnings) => Ok((body, warnings)),
            Err(failure) => Err(failure.message),
        }
    }

    fn refusal(minor: u32, body: &str) -> String {
        adapted(minor, body).unwrap_err()
    }

    #[test]
    fn the_default_network_is_the_bridge_with_its_endpoint() {
        let body = r#"{"HostConfig":{"NetworkMode":"default"},
            "NetworkingConfig":{"EndpointsConfig":{"default":{"Aliases":["a"]}}}}"#;
        let (body, warnings) = adapted(51, body).unwrap();
        assert_eq!(body.host_config.network_mode, "bridge");
        let endpoint = body.networking_config.endpoints_config["bridge"].as_ref().unwrap();
        assert_eq!(*endpoint.aliases, ["a"]);
        assert!(!body.networking_config.endpoints_config.contains_key("default"));
        assert!(warnings.is_empty());
    }

    #[test]
    fn old_defaults_are_filled_in() {
        let (body, _) = adapted(39, "{}").unwrap();
        assert_eq!(body.host_config.ipc_mode, "shareable");
        assert_eq!(adapted(40, "{}").unwrap().0.host_config.ipc_mode, "");
        let sized = r#"{"HostConfig":{"ConsoleSize":[5,6],"PidsLimit":0,"Annotations":{"a":"b"}}}"#;
        let (old, _) = adapted(41, sized).unwrap();
        assert_eq!(old.host_config.console_size, [0, 0]);
        assert_eq!(old.host_config.pids_limit, None);
        assert!(old.host_config.annotations.is_empty());
        let (new, _) = adapted(43, sized).unwrap();
        assert_eq!(new.host_config.console_size, [5, 6]);
        assert_eq!(new.host_config.annotations["a"], "b");
    }

    #[test]
    fn mounts_mean_what_the_version_knew() {
        let mount = |rest: &str| format!(r#"{{"HostConfig":{{"Mounts":[{{{rest}}}]}}}}"#);
        let mixed = mount(r#""Type":"bind","VolumeOptions":{}"#);
        assert_eq!(adapted(41, &mixed).unwrap().0.host_config.mounts[0].volume_options, None);
        assert_eq!(
            refusal(42, &mixed),
            "VolumeOptions must not be specified on mount type \"bind\""
        );
        let image = mount(r#""Type":"image""#);
        assert_eq!(refusal(47, &image), "Mount type \"Image\" needs API v1.48 or newer");
        assert!(adapted(48, &image).is_ok());
        let subpath = mount(r#""Type":"volume","VolumeOptions":{"Subpath":"a"}"#);
        assert_eq!(refusal(44, &subpath), "VolumeOptions.Subpath needs API v1.45 or newer");
        let read_only = mount(r#""Type":"bind","ReadOnly":true"#);
        let options = |minor| {
            let (body, _) = adapted(minor, &read_only).unwrap();
            body.host_config.mounts[0].bind_options.clone()
        };
        assert!(options(43).unwrap().read_only_non_recursive);
        assert_eq!(options(44), None);
    }

    #[test]
    fn the_hardware_address_moves_to_the_endpoint() {
        let body = r#"{"MacAddress":"02:00:00:00:00:01"}"#;
        let of = |minor| {
            let (body, warnings) = adapted(minor, body).unwrap();
            let endpoint = body.networking_config.endpoints_config["bridge"].clone().unwrap();
            (endpoint.mac_address, warnings.len())
        };
        assert_eq!(of(43), ("02:00:00:00:00:01".to_owned(), 0));
        assert_eq!(of(44), ("02:00:00:00:00:01".to_owned(), 1));
        assert_eq!(
            refusal(52, body),
            "container-wide MAC address no longer supported; use endpoint-specific MAC address instead"
        );
        let host = r#"{"MacAddress":"02:00:00:00:00:01","HostConfig":{"NetworkMode":"host"}}"#;
        assert_eq!(refusal(43, host), "conflicting options: mac-address and the network mode");
    }

    #[test]
    fn several_endpoints_need_1_44() {
        let body = r#"{"NetworkingConfig":{"EndpointsConfig":{"a":{},"b":{}}}}"#;
        assert_eq!(
            refusal(43, body),
            "Container cannot be created with multiple network endpoints: a, b"
        );
        assert!(adapted(44, body).is_ok());
    }

    #[test]
    fn kernel_parameters_of_an_interface_move_to_its_endpoint_until_1_47() {
        let body = r#"{"HostConfig":{"Sysctls":{"net.ipv4.conf.eth0.x":"1","net.core.y":"2"}}}"#;
        let (adapted_body, warnings) = adapted(47, body).unwrap();
        let endpoint = adapted_body.networking_config.endpoints_config["bridge"].clone().unwrap();
        assert_eq!(endpoint.driver_opts[SYSCTLS], "net.ipv4.conf.IFNAME.x=1");
        assert_eq!(adapted_body.host_config.sysctls.len(), 1);
        assert_eq!(
            warnings,
            [
                "Migrated sysctl \"net.ipv4.conf.eth0.x\" to DriverOpts{\"com.docker.network.endpoint.sysctls\":\
              \"net.ipv4.conf.IFNAME.x=1\"}."
            ]
        );
        assert!(refusal(48, body).contains("must be supplied using driver option"));
    }

    #[test]
    fn ports_without_bindings_are_published_anywhere() {
        let body = r#"{"HostConfig":{"PortBindings":{"80/tcp":null,"81/tcp":[{"HostPort":"1"}]}}}"#;
        let of = |minor| {
            let (body, warnings) = adapted(minor, body).unwrap();
            (body.host_config.port_bindings["80/tcp"].clone(), warnings.len())
        };
        let anywhere = List::from(vec![PortBinding::default()]);
        assert_eq!(of(51), (anywhere.clone(), 0));
        assert_eq!(of(52), (anywhere, 1));
    }

    #[test]
    fn an_update_hears_device_limits_since_1_55_and_task_limits_since_1_40() {
        let update = |minor| {
            let text = br#"{"PidsLimit":-1,"BlkioWeightDevice":[{"Path":"/dev/a","Weight":10}]}"#;
            let mut body: UpdateBody = lenient::from_slice(text).unwrap();
            adapt_update(Version::new(1, minor), &mut body);
            (body.pids_limit, body.blkio_weight_device.len())
        };
        assert_eq!(update(39), (None, 0));
        assert_eq!(update(54), (Some(0), 0));
        assert_eq!(update(55), (Some(0), 1));
    }
}
