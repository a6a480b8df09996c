use super::*;
use std::fs;

/// A directory that looks like `resctrl` with a class `gold`; nothing in it behaves like one.
struct Fake(tempfile::TempDir);

impl Fake {
    fn new() -> Self {
        let fake = Self(tempfile::tempdir().unwrap());
        for class in ["", "gold"] {
            fs::create_dir_all(fake.path(class).join("mon_groups/box")).unwrap();
            fs::write(fake.path(class).join("tasks"), "").unwrap();
            fs::write(fake.path(class).join("mon_groups/box/tasks"), "").unwrap();
            fs::write(
                fake.path(class).join("schemata"),
                "    MB:0= 20;1= 70\n    L3:0=0f0;1=7ff\n",
            )
            .unwrap();
        }
        fs::create_dir(fake.path("info")).unwrap();
        fs::write(fake.path("info/last_cmd_status"), "mask out of range\n").unwrap();
        fake
    }

    fn path(&self, path: &str) -> std::path::PathBuf {
        self.0.path().join(path)
    }

    fn get(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    fn assign(&self, rdt: &IntelRdt) -> Result<Assigned, RdtError> {
        Resctrl::at(self.0.path()).unwrap().assign("box", rdt, 77)
    }
}

fn rdt(class: &str, schemata: &[&str]) -> IntelRdt {
    IntelRdt {
        clos_id: Some(class.to_owned()),
        schemata: schemata.iter().map(|line| (*line).to_owned()).collect(),
        ..IntelRdt::default()
    }
}

#[test]
fn a_class_that_is_named_is_joined_as_it_is_and_never_removed() {
    let fake = Fake::new();
    let assigned = fake.assign(&rdt("gold", &[])).unwrap();
    assert_eq!(assigned, Assigned { class: "gold".into(), made: false, monitored: false });
    assert_eq!(fake.get("gold/tasks"), "77");
    let resctrl = Resctrl::at(fake.0.path()).unwrap();
    resctrl.remove("box", &assigned).unwrap();
    assert!(fake.path("gold").exists());
    assert!(fake.assign(&rdt("/", &[])).is_ok());
    assert_eq!(fake.get("tasks"), "77");
    let error = fake.assign(&rdt("silver", &[])).unwrap_err();
    assert_eq!(error.to_string(), "set linux.intelRdt.closID: the class silver does not exist");
}

#[test]
fn a_class_that_is_named_must_have_the_shares_that_are_asked_for() {
    let fake = Fake::new();
    assert!(fake.assign(&rdt("gold", &["L3:0=f0", "MB:1=70;0=20"])).is_ok());
    let error = fake.assign(&rdt("gold", &["L3:0=f0;1=1f"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "set linux.intelRdt of class gold: it has \"L3:0=0f0;1=7ff\" in place of \"L3:0=f0;1=1f\""
    );
    assert!(matches!(fake.assign(&rdt("gold", &["L2:0=1"])), Err(RdtError::Differs { .. })));
}

#[test]
fn a_class_that_was_made_here_is_gone_after_a_failure_which_has_the_kernels_words() {
    let fake = Fake::new();
    // The directory has no files that could be written, as if the kernel refused.
    let error = fake.assign(&rdt("new", &["L3:0=fffff"])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "write \"L3:0=fffff\" to schemata of class new: mask out of range"
    );
    assert!(!fake.path("new").exists());
}

#[test]
fn a_monitoring_group_has_the_name_of_the_container() {
    let fake = Fake::new();
    let rdt = IntelRdt { enable_monitoring: true, ..rdt("gold", &[]) };
    let assigned = fake.assign(&rdt).unwrap();
    assert!(assigned.monitored);
    assert_eq!(fake.get("gold/mon_groups/box/tasks"), "77");
    fs::remove_file(fake.path("gold/mon_groups/box/tasks")).unwrap();
    Resctrl::at(fake.0.path()).unwrap().remove("box", &assigned).unwrap();
    assert!(!fake.path("gold/mon_groups/box").exists());
}

#[test]
fn names_and_lines_that_are_none_are_refused_with_their_field() {
    let fake = Fake::new();
    let cases = [
        (rdt("../x", &[]), "closID: \"../x\" is not a class"),
        (rdt("info", &[]), "closID: \"info\" is not a class"),
        (
            rdt("a", &["L3:0=1\nMB:0=1"]),
            "schemata: \"L3:0=1\\nMB:0=1\" is not one line as L3:0=7f0;1=1f",
        ),
        (
            IntelRdt { mem_bw_schema: Some("L3:0=1".into()), ..IntelRdt::default() },
            "memBwSchema: \"L3:0=1\" does not begin with MB:",
        ),
    ];
    for (rdt, cause) in cases {
        let error = fake.assign(&rdt).unwrap_err();
        assert_eq!(error.to_string(), format!("invalid linux.intelRdt.{cause}"));
        assert_eq!(error.class(), spec::Class::InvalidArgument);
    }
}

#[test]
fn without_the_file_system_the_field_is_refused() {
    let mounted = std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - resctrl ");
    assert_eq!(Resctrl::open().is_ok(), mounted);
    assert_eq!(
        RdtError::NotMounted.to_string(),
        "set linux.intelRdt: no resctrl file system is mounted"
    );
}
