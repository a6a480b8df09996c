//! The kernel's statistics of a group, parts of which are names that others have chosen. Each file is a line with its name
//! and an equals sign, and then its lines, up to one that is empty.
#![no_main]

use cgroups::Stats;
use libfuzzer_sys::fuzz_target;
use std::collections::BTreeMap;

fuzz_target!(|input: (bool, &str)| {
    let (v2, text) = input;
    let mut files = BTreeMap::new();
    for part in text.split("\n\n") {
        if let Some((name, content)) = part.split_once("=\n") {
            files.insert(name.to_owned(), content.to_owned());
        }
    }
    let stats = Stats::of_files(v2, &files);
    assert!(stats.hugetlb.len() <= files.len());
    if let Some(cpuset) = stats.cpuset {
        assert!(cpuset.cpus.len() <= 8192 && cpuset.mems.len() <= 8192);
    }
});
