use super::*;

#[test]
fn each_sysctl_has_its_place_and_a_name_of_its_own() {
    for (i, sysctl) in Sysctl::ALL.into_iter().enumerate() {
        let about = sysctl.about();
        assert_eq!(sysctl as usize, i, "{sysctl}");
        assert!(about.range.contains(&about.ours) && about.range.contains(&about.ipvs), "{sysctl}");
        for spelled in [sysctl.to_string(), sysctl.to_string().replace('.', "/"), about.name.to_owned()] {
            assert_eq!(Sysctl::find(&spelled), Ok(sysctl), "{spelled}");
        }
    }
    let names = Sysctl::ALL.map(|s| s.to_string());
    assert!(names.is_sorted(), "{names:?}");
}

/// What kernel 6.1 took, and what it then said, for each kind.
#[test]
fn ranges_are_the_kernels() {
    use Sysctl::{AmDroprate, ConnReuseMode, DropEntry, LblcExpiration, SloppyTcp};
    let cases = [
        (DropEntry, -1, None),
        (DropEntry, 0, Some(0)),
        (DropEntry, 2, Some(1)),
        (DropEntry, 3, Some(3)),
        (DropEntry, 4, None),
        (ConnReuseMode, i32::MIN, Some(i32::MIN)),
        (ConnReuseMode, 7, Some(7)),
        (AmDroprate, -1, Some(-1)),
        (SloppyTcp, 100, Some(100)),
        (LblcExpiration, -1, Some(-1)),
        (LblcExpiration, 8_589_934, Some(8_589_934)),
        (LblcExpiration, i32::MAX, None),
        (LblcExpiration, i32::MIN, None),
        (Sysctl::MoveUdp, 2, None),
    ];
    for (sysctl, written, reads) in cases {
        let mut settings = Settings::default();
        let before = settings.get(sysctl);
        assert_eq!(settings.set(sysctl, written).is_ok(), reads.is_some(), "{sysctl}={written}");
        assert_eq!(settings.get(sysctl), reads.unwrap_or(before), "{sysctl}={written}");
    }
}

#[test]
fn unknown_and_senseless_names_say_why() {
    let text = |name| Sysctl::find(name).unwrap_err().to_string();
    assert_eq!(
        text("net.ipv4.vs.conn_reuse"),
        "there is no `net.ipv4.vs.conn_reuse`: `ulvs sysctl --help` lists what there is"
    );
    assert_eq!(
        text("net.ipv4.vs.slopy_tcp"),
        "there is no `net.ipv4.vs.slopy_tcp`: did you mean net.ipv4.vs.sloppy_tcp?"
    );
    assert_eq!(
        text("net.ipv4.vs.move_udp"),
        "there is no `net.ipv4.vs.move_udp`: did you mean ulvs.move_udp?"
    );
    assert!(
        text("sync_threshold").starts_with("net.ipv4.vs.sync_threshold has no meaning here: this version")
    );
    assert!(text("ulvs.conntrack").starts_with("there is no `ulvs.conntrack`"));
}

#[test]
fn a_change_is_made_whole_or_not_at_all() {
    let change = |timeouts, sysctls: &[(&str, i32)]| SettingsChange {
        timeouts,
        sysctls: sysctls.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
    };
    let settings = Settings::default();
    let timeouts = Timeouts { tcp: 10, tcp_fin: 0, udp: 20 };
    let next = settings.changed(&change(timeouts, &[("sloppy_tcp", 1), ("ulvs.move_udp", 0)])).unwrap();
    assert_eq!(next.timeouts, Timeouts { tcp: 10, tcp_fin: 120, udp: 20 });
    assert!(next.is_on(Sysctl::SloppyTcp) && !next.is_on(Sysctl::MoveUdp));
    assert_eq!(
        next.differences(&settings),
        ["timeout tcp = 10", "timeout udp = 20", "net.ipv4.vs.sloppy_tcp = 1", "ulvs.move_udp = 0"]
    );
    let error = settings.changed(&change(timeouts, &[("sloppy_tcp", 1), ("drop_entry", 9)])).unwrap_err();
    assert_eq!(error.to_string(), "net.ipv4.vs.drop_entry cannot be 9: it takes a whole number from 0 to 3");
    let too_long = Timeouts { tcp: 2_678_401, ..Timeouts::KEEP };
    assert!(settings.changed(&change(too_long, &[])).is_err());
}

#[test]
fn a_file_changes_what_changed_in_it_and_compat_is_the_base() {
    let (ours, ipvs) = (Settings::default(), Settings::new(true));
    let differing: Vec<_> = Sysctl::ALL.into_iter().filter(|s| ours.get(*s) != ipvs.get(*s)).collect();
    assert_eq!(
        differing,
        [
            Sysctl::Hairpin,
            Sysctl::MoveUdp,
            Sysctl::OpsReplies,
            Sysctl::ResetOnEnd,
            Sysctl::ReusePorts,
            Sysctl::TemplateDecay
        ]
    );
    let mut running = ours.clone();
    running.set(Sysctl::SloppyTcp, 1).unwrap();
    running.timeouts.udp = 17;
    let mut file = ipvs;
    file.set(Sysctl::PmtuDisc, 0).unwrap();
    file.timeouts.tcp = 33;
    let next = running.reconciled(&ours, &file);
    assert!(next.compat && next.is_on(Sysctl::SloppyTcp) && next.is_on(Sysctl::TemplateDecay));
    assert!(!next.is_on(Sysctl::PmtuDisc) && !next.is_on(Sysctl::MoveUdp));
    assert_eq!(next.timeouts, Timeouts { tcp: 33, tcp_fin: 120, udp: 17 });
    assert_eq!(running.reconciled(&file, &file), running);
}

#[test]
fn settings_travel_by_name() {
    let mut settings = Settings::new(true);
    settings.set(Sysctl::ConnReuseMode, 3).unwrap();
    let mut json = serde_json::to_value(&settings).unwrap();
    assert_eq!(json["sysctls"]["net.ipv4.vs.conn_reuse_mode"], 3);
    assert_eq!(serde_json::from_value::<Settings>(json.clone()).unwrap(), settings);
    // Of another version.
    json["sysctls"].as_object_mut().unwrap().remove("ulvs.move_udp");
    json["sysctls"]["ulvs.future"] = 5.into();
    assert_eq!(serde_json::from_value::<Settings>(json).unwrap(), settings);
}
