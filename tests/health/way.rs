//! The way of a question, where the engine has a part in that of the answer.

use super::stage::Stage;

#[test]
fn a_server_behind_nat_is_heard_though_it_is_asked_by_one_device() {
    let stage = Stage::nat();
    let route = stage.director().exec(&["ip", "-o", "route", "get", &stage.address(0).to_string()]).unwrap();
    let device = route.split(" dev ").nth(1).and_then(|rest| rest.split(' ').next()).unwrap();
    for kind in ["kind = \"tcp\"", "kind = \"http\"\npath = \"/health\"", "kind = \"icmp\""] {
        // Nobody is there before it has answered.
        let check = format!("{kind}\ndevice = \"{device}\"\n[service.health]\ninitially = \"down\"");
        let engine = stage.balance("rr", &check, "");
        stage.wait_for(&engine, 0, true);
        stage.wait_for(&engine, 1, true);
        engine.stop();
    }
}
