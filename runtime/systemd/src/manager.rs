//! The calls of the service manager (org.freedesktop.systemd1(5)).

use crate::bus::{Bus, Method};
use crate::error::SystemdError;
use crate::properties::Property;
use crate::unit::Unit;
use crate::wire::Value;

const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const OBJECT: &str = "/org/freedesktop/systemd1";
const NAME: &str = "org.freedesktop.systemd1";

/// Whose manager.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// That of the host.
    System,
    /// That of the user who runs this process.
    User,
}

/// A connection to the service manager.
#[derive(Debug)]
pub struct Manager {
    bus: Bus,
    version: u32,
}

/// The addresses to try, with whether it is the manager's own socket.
fn addresses(whose: Whose) -> Vec<(String, bool)> {
    let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    match whose {
        Whose::System => {
            let bus = set("DBUS_SYSTEM_BUS_ADDRESS")
                .unwrap_or_else(|| "unix:path=/run/dbus/system_bus_socket".to_owned());
            vec![(bus, false), ("unix:path=/run/systemd/private".to_owned(), true)]
        }
        Whose::User => {
            let runtime = set("XDG_RUNTIME_DIR")
                .unwrap_or_else(|| format!("/run/user/{}", rustix::process::getuid().as_raw()));
            let bus = set("DBUS_SESSION_BUS_ADDRESS")
                .unwrap_or_else(|| format!("unix:path={runtime}/bus"));
            vec![(bus, false), (format!("unix:path={runtime}/systemd/private"), true)]
        }
    }
}

impl Manager {
    /// Connects over the bus or, where there is none, directly.
    pub fn connect(whose: Whose) -> Result<Self, SystemdError> {
        let mut last: Option<SystemdError> = None;
        for (address, direct) in addresses(whose) {
            match (Self::connect_at(&address, direct), &last) {
                (Ok(manager), _) => return Ok(manager),
                // What somebody says is of more use than that nobody is there.
                (Err(SystemdError::Connect { .. }), Some(_)) => {}
                (Err(error), _) => last = Some(error),
            }
        }
        Err(last.expect("there are two addresses"))
    }

    /// Connects at an address; `direct`: it is the manager's own socket.
    pub fn connect_at(address: &str, direct: bool) -> Result<Self, SystemdError> {
        let mut bus = Bus::connect(address, direct)?;
        if !direct {
            let rule =
                format!("type='signal',sender='{NAME}',interface='{MANAGER}',member='JobRemoved'");
            bus.listen(&rule)?;
        }
        let mut manager = Self { bus, version: 0 };
        match manager.call("Subscribe", Vec::new(), "") {
            Ok(_) => {}
            // Somebody on this connection did, which is us.
            Err(SystemdError::Answer { name, .. }) if name.ends_with(".AlreadySubscribed") => {}
            Err(error) => return Err(error),
        }
        manager.version = version(&manager.property(OBJECT, MANAGER, "Version")?);
        Ok(manager)
    }

    /// The manager's version, as 252; 0 if it does not say.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Changes how long an answer or a job may take; at first it is [`crate::bus::PATIENCE`].
    pub fn set_patience(&mut self, patience: std::time::Duration) {
        self.bus.set_patience(patience);
    }

    fn call(
        &mut self,
        member: &'static str,
        body: Vec<Value>,
        about: &str,
    ) -> Result<Vec<Value>, SystemdError> {
        let method = Method { destination: NAME, path: OBJECT, interface: MANAGER, member };
        self.bus.call(method, body, about)
    }

    /// A property of text of an object.
    fn property(
        &mut self,
        object: &str,
        interface: &str,
        name: &str,
    ) -> Result<String, SystemdError> {
        let method = Method {
            destination: NAME,
            path: object,
            interface: "org.freedesktop.DBus.Properties",
            member: "Get",
        };
        let answer =
            self.bus.call(method, vec![Value::text(interface), Value::text(name)], name)?;
        match answer.into_iter().next() {
            Some(Value::Variant(value)) => match *value {
                Value::Text(text) => Ok(text),
                _ => Err(SystemdError::Protocol { call: "Get", cause: "the property is no text" }),
            },
            _ => Err(SystemdError::Protocol { call: "Get", cause: "the answer is no property" }),
        }
    }

    /// Starts a transient unit and waits until it is there. One that is left over from earlier, and has failed, is
    /// cleared away first; one that runs is an error.
    pub fn start(&mut self, unit: &Unit, properties: &[Property]) -> Result<(), SystemdError> {
        match self.start_once(unit, properties) {
            Err(SystemdError::Answer { name, .. }) if name == format!("{NAME}.UnitExists") => {
                self.reset_failed(unit)?;
                self.start_once(unit, properties)
            }
            other => other,
        }
    }

    fn start_once(&mut self, unit: &Unit, properties: &[Property]) -> Result<(), SystemdError> {
        let call = "StartTransientUnit";
        let body = vec![
            Value::text(unit.name()),
            Value::text("replace"),
            Value::list("(sv)", properties.iter().map(Property::pair).collect()),
            Value::list("(sa(sv))", Vec::new()),
        ];
        let answer = self.call(call, body, unit.name())?;
        let result = self.job(call, unit, answer)?;
        if result == "done" {
            return Ok(());
        }
        self.reset_failed(unit).ok();
        Err(SystemdError::Job { call, unit: unit.name().to_owned(), result })
    }

    /// Waits for the end of the job that `answer` names.
    fn job(
        &mut self,
        call: &'static str,
        unit: &Unit,
        answer: Vec<Value>,
    ) -> Result<String, SystemdError> {
        let Some(Value::Path(job)) = answer.into_iter().next() else {
            return Err(SystemdError::Protocol { call, cause: "the answer is no job" });
        };
        self.bus.wait(call, unit.name(), &|signal| match signal.body.as_slice() {
            [_, Value::Path(path), _, Value::Text(result)]
                if signal.member == "JobRemoved" && *path == job =>
            {
                Some(result.clone())
            }
            _ => None,
        })
    }

    /// Changes properties of a unit until the next boot.
    pub fn set(&mut self, unit: &Unit, properties: &[Property]) -> Result<(), SystemdError> {
        if properties.is_empty() {
            return Ok(());
        }
        let body = vec![
            Value::text(unit.name()),
            Value::Bool(true),
            Value::list("(sv)", properties.iter().map(Property::pair).collect()),
        ];
        self.call("SetUnitProperties", body, unit.name()).map(drop)
    }

    /// Stops a unit, waits until it has stopped, and has the manager forget it. One that is not there has stopped.
    pub fn stop(&mut self, unit: &Unit) -> Result<(), SystemdError> {
        let call = "StopUnit";
        let body = vec![Value::text(unit.name()), Value::text("replace")];
        match self.call(call, body, unit.name()) {
            Ok(answer) => {
                // However the job ends, the group is looked at afterwards, and the processes in it are counted.
                self.job(call, unit, answer)?;
            }
            Err(error) if error.is_no_such_unit() => return Ok(()),
            Err(error) => return Err(error),
        }
        self.reset_failed(unit)
    }

    /// Has the manager forget a unit that has failed.
    fn reset_failed(&mut self, unit: &Unit) -> Result<(), SystemdError> {
        match self.call("ResetFailedUnit", vec![Value::text(unit.name())], unit.name()) {
            Err(error) if !error.is_no_such_unit() => Err(error),
            _ => Ok(()),
        }
    }

    /// The path of a unit's group in its hierarchies, as `/system.slice/a.scope`.
    pub fn group(&mut self, unit: &Unit) -> Result<String, SystemdError> {
        let interface = if unit.is_slice() {
            "org.freedesktop.systemd1.Slice"
        } else {
            "org.freedesktop.systemd1.Scope"
        };
        self.property(&unit.object(), interface, "ControlGroup")
    }
}

/// The number in a version as `252.38-1~deb12u1`, `v245.4` or `249`.
fn version(text: &str) -> u32 {
    let digits = text.trim_start_matches(['"', 'v']);
    let end = digits.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(digits.len());
    digits[..end].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::version;

    #[test]
    fn a_version_is_its_first_number() {
        for (text, number) in
            [("252.38-1~deb12u1", 252), ("v245.4-1.fc32", 245), ("249", 249), ("", 0), ("x", 0)]
        {
            assert_eq!(version(text), number);
        }
    }
}
