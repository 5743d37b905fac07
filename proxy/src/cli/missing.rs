//! What the checks of a configuration need, and have not got: programs, users, files and devices of this host; answers that
//! come through us. Some of it may come yet, so that nothing of it is an error; until then such checks fail, such commands are
//! told nothing.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use control::config::Config;
use control::health::command::words;
use control::health::probe::who;
use sched::{Check, CheckKind, GrpcCheck, Health, HttpCheck, NotifyCommand};

const DEAF: &str = "`passive` judges nobody: what these servers answer does not come through us. A check can ask them, best \
                    with via = \"vip\"";

/// Each once, with the first service that needs it.
pub(super) fn missing(config: &Config) -> Vec<String> {
    let mut all: Vec<(String, String)> = Vec::new();
    for service in config.services() {
        let Some(health) = &service.health else { continue };
        let answers = service.dests.is_empty() || service.dests.iter().any(|dest| dest.method.sees_replies());
        let deaf = (health.passive.is_some() && !answers).then(|| DEAF.to_owned());
        for text in of_checks(health).chain(of_commands(health)).chain(deaf) {
            if all.iter().all(|(_, known)| *known != text) {
                all.push((service.key.word(), text));
            }
        }
    }
    all.into_iter().map(|(service, text)| format!("{service}: {text}")).collect()
}

fn of_checks(health: &Health) -> impl Iterator<Item = String> {
    let checks = health.checks.iter().chain(health.own.values().flatten());
    checks.flat_map(|check| [of_check(check), device(check)]).flatten()
}

fn of_check(check: &Check) -> Option<String> {
    let authorities = match &check.kind {
        CheckKind::Exec(exec) => {
            return program(exec.command.first()?).or_else(|| user(exec.user.as_deref()));
        }
        CheckKind::Http(HttpCheck { tls, .. }) | CheckKind::Grpc(GrpcCheck { tls, .. }) => {
            tls.as_ref()?.ca.as_ref()
        }
        CheckKind::Tls(tls) => tls.ca.as_ref(),
        _ => None,
    }?;
    let error = File::open(authorities).err()?;
    Some(format!("a check cannot read its authorities in {}: {error}", authorities.display()))
}

fn device(check: &Check) -> Option<String> {
    let device = check.device.as_ref()?;
    // Not /sys, which may be that of another network namespace.
    let there = netio::survey::is_device(device);
    (!there).then(|| format!("there is no device `{device}` here to ask by"))
}

fn of_commands(health: &Health) -> impl Iterator<Item = String> {
    let notify = &health.notify;
    let of_service = [&notify.change, &notify.up, &notify.down, &notify.quorum_up, &notify.quorum_down];
    let commands = of_service.into_iter().chain(notify.own.values().flatten()).flatten();
    let of_command = |command: &NotifyCommand| {
        let words = words(&command.line);
        [words.and_then(|words| program(words.first()?)), user(command.user.as_deref())]
    };
    commands.flat_map(of_command).flatten().chain(user(notify.user.as_deref()))
}

fn user(user: Option<&str>) -> Option<String> {
    who(user?).err().map(|why| format!("{why}, and nobody else runs its commands"))
}

fn program(name: &str) -> Option<String> {
    let runs = |path: &Path| {
        fs::metadata(path).is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    };
    if name.contains('/') {
        let path = Path::new(name);
        return match fs::metadata(path) {
            _ if runs(path) => None,
            Ok(file) if file.is_file() => Some(format!("{name} is no program: make it executable")),
            Ok(_) => Some(format!("{name} is no program: it is no file")),
            Err(_) => Some(format!("there is no program {name}")),
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).any(|dir| runs(&dir.join(name)));
    (!found).then(|| format!("there is no program `{name}` in PATH"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_judged_by_answers_that_do_not_come_by() {
        let service = |servers: &str| {
            let text = format!(
                "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\nserver = [{servers}]\n[service.health]\npassive = true\n"
            );
            missing(&Config::parse("x", &text).unwrap())
        };
        let (dr, nat) = ("{ address = \"10.1.0.1\", method = \"dr\" }", "{ address = \"10.1.0.2\" }");
        assert_eq!(service(dr), [format!("tcp/10.0.0.1:80: {DEAF}")]);
        assert!(service(&format!("{dr}, {nat}")).is_empty());
        assert!(service("").is_empty());
    }

    #[test]
    fn what_is_not_on_this_host_is_named_once_and_what_is_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let plain = dir.path().join("plain");
        fs::write(&plain, "").unwrap();
        let text = format!(
            "[[service]]\nvip = \"10.0.0.1\"\nports = [\"tcp/80\"]\n[service.health]\n\
             [service.health.notify]\n\
             up = \"/no/such/up 'a b'\"\ndown = {{ command = \"/bin/sh\", user = \"ulvs-noone\" }}\n\
             user = \"ulvs-nobody\"\n\
             [[service.check]]\nkind = \"exec\"\ncommand = \"/no/such/check\"\n\
             [[service.check]]\nkind = \"exec\"\ncommand = \"ulvs-no-such-check\"\n\
             [[service.check]]\nkind = \"exec\"\ncommand = \"{}\"\n\
             [[service.check]]\nkind = \"exec\"\ncommand = \"/etc\"\n\
             [[service.check]]\nkind = \"exec\"\ncommand = \"sh -c true\"\nuser = \"nobody\"\n\
             [[service.check]]\nkind = \"tls\"\nverify = true\nca = \"/no/such/ca\"\ndevice = \"ulvs-none\"\n\
             [[service.check]]\nkind = \"tcp\"\ndevice = \"lo\"\n\
             [[service]]\nvip = \"10.0.0.2\"\nports = [\"tcp/80\"]\n\
             [[service.check]]\nkind = \"exec\"\ncommand = \"/no/such/check\"\n",
            plain.display()
        );
        let config = Config::parse("x", &text).unwrap();
        let expected = [
            "there is no program /no/such/check".to_owned(),
            "there is no program `ulvs-no-such-check` in PATH".to_owned(),
            format!("{} is no program: make it executable", plain.display()),
            "/etc is no program: it is no file".to_owned(),
            "a check cannot read its authorities in /no/such/ca: No such file or directory (os error 2)"
                .to_owned(),
            "there is no device `ulvs-none` here to ask by".to_owned(),
            "there is no program /no/such/up".to_owned(),
            "there is no user `ulvs-noone` on this host, and nobody else runs its commands".to_owned(),
            "there is no user `ulvs-nobody` on this host, and nobody else runs its commands".to_owned(),
        ];
        assert_eq!(missing(&config), expected.map(|text| format!("tcp/10.0.0.1:80: {text}")));
    }
}
