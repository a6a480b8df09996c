//! A bundle's config.json: it becomes a plan or a sentence.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plan::{Given, Plan, ProcessPlan, SourceKind};
use spec::oci::Spec;

fuzz_target!(|bytes: &[u8]| {
    let Ok(spec) = serde_json::from_slice::<Spec>(bytes) else { return };
    let bound = |mount: &spec::oci::Mount| {
        (mount.kind.as_deref() == Some("bind")).then_some(SourceKind::Directory)
    };
    let given = Given { sources: spec.mounts.iter().map(bound).collect(), ..Given::default() };
    Plan::new(&spec, &given).ok();
    if let Some(process) = &spec.process {
        ProcessPlan::joining(process, &given).ok();
    }
});
