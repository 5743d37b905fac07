//! The lesson that this project began from, top to bottom: http and https as one service by a firewall mark, direct
//! routing, a CA, `sh` and `rr`, saving, and persistence on port 0. Its own commands, order and addresses; where a lab has
//! to type something else, the text says what the lecture typed.

use super::Scenario;
use super::words::{alternates, count, same};
use crate::play::Step;
use crate::topo::LectureLab;

pub(super) const SCENARIO: Scenario = Scenario {
    name: "lecture",
    summary: "the lesson from top to bottom: http and https as one service by a firewall mark",
    intro: "A director, two real servers and a client on one network, as in the lesson \"LVS: advanced configuration in \
            practice\" (3-6). The machines have just been started: nothing is configured.",
    topology: |_| Ok(Box::new(LectureLab::new()?)),
    serving: &[],
    needs: &[("openssl", "openssl"), ("ping", "iputils-ping"), ("ss", "iproute2"), ("ip", "iproute2")],
    steps,
};

fn steps() -> Vec<Step> {
    [vip(), authority(), web_servers(), one_service(), round_robin(), persistence()]
        .into_iter()
        .flatten()
        .collect()
}

/// Direct routing: the VIP on everybody.
fn vip() -> Vec<Step> {
    vec![
        Step::new("RS1 gets the VIP", "rs1", "bash -x setparam.sh start")
            .part("The VIP, and web servers")
            .means(
                "With direct routing the server answers the client itself, so it needs the VIP: on lo, and with settings \
                 that keep it silent when somebody asks by ARP who has it.",
            )
            .says("ip addr add 172.16.0.99/32 dev lo"),
        Step::new("Look at it", "rs1", "ifconfig").show(24).says("172.16.0.99"),
        Step::new("The same for RS2", "rs1", "scp setparam.sh 172.16.0.8:/root/"),
        Step::new("RS2 gets the VIP", "rs2", "bash -x setparam.sh start").show(0),
        Step::new("http on RS1", "rs1", "systemctl start httpd.service"),
        Step::new("http on RS2", "rs2", "systemctl start httpd.service"),
        Step::new("Ping the VIP", "client", "ping -c 1 -W 1 172.16.0.99")
            .fails("100% packet loss")
            .means("Both servers have it and neither says so; the director has not got it yet. Nobody answers."),
        Step::new(
            "The director gets the VIP",
            "director",
            "ifconfig eno16777736:0 172.16.0.99 netmask 255.255.255.255 broadcast 172.16.0.99 up",
        ),
        Step::new("Ping the VIP again", "client", "ping -c 1 -W 2 172.16.0.99")
            .says("1 received"),
        Step::new("Who was that?", "client", "ping -c 1 172.16.0.6 >/dev/null; ip neigh show")
            .means("The VIP and 172.16.0.6 have one MAC address: it is the director that answers.")
            .check("one machine has both addresses", |said| {
                let mac = |addr: &str| {
                    let line = said.lines().into_iter().find(|line| line.starts_with(addr))?;
                    line.split_whitespace().skip_while(|word| *word != "lladdr").nth(1)
                };
                mac("172.16.0.99 ").is_some() && mac("172.16.0.99 ") == mac("172.16.0.6 ")
            }),
    ]
}

/// The director is a CA as well.
fn authority() -> Vec<Step> {
    let subject = |name: &str| format!("/C=CN/ST=Beijing/L=Beijing/O=MageEdu/OU=devops/CN={name}.ilinux.io");
    let ca = "cd /etc/pki/CA;";
    vec![
        Step::new(
            "A private key for the CA",
            "director",
            format!("{ca} (umask 077; openssl genrsa -out private/cakey.pem 2048); ls -l private"),
        )
        .part("A CA on the director")
        .means(
            "For https both servers get the same certificate. It comes from a CA of our own; the director is that, too.",
        )
        .says("-rw-------"),
        Step::new(
            "Its own certificate",
            "director",
            format!(
                "{ca} openssl req -new -x509 -key private/cakey.pem -out cacert.pem -days 365 -subj {}; \
                 openssl x509 -in cacert.pem -noout -subject",
                subject("ca")
            ),
        )
        .means("The lecture types the names when openssl asks for them; -subj says them at once.")
        .says("ca.ilinux.io"),
        Step::new("Its books", "director", format!("{ca} touch index.txt; echo 01 > serial")),
        Step::new("A key for the servers", "director", "openssl genrsa -out httpd.key 2048; chmod 600 httpd.key"),
        Step::new(
            "A request for a certificate",
            "director",
            format!("openssl req -new -key httpd.key -out httpd.csr -subj {}", subject("www")),
        )
        .means("The common name has to be the name that clients use for the VIP: www.ilinux.io."),
        Step::new("The CA signs it", "director", "yes | openssl ca -in httpd.csr -out httpd.crt -days 365")
            .show(6)
            .says("1 out of 1 certificate requests certified")
            .means("`ulvs ca init` and `ulvs ca issue --dns www.ilinux.io` do all of this in two lines."),
        Step::new("It is good", "director", "openssl verify -CAfile /etc/pki/CA/cacert.pem httpd.crt").says("httpd.crt: OK"),
    ]
}

/// http and https on both servers, with one certificate.
fn web_servers() -> Vec<Step> {
    vec![
        Step::new("Certificate and key to RS1", "director", "scp -p httpd.crt httpd.key 172.16.0.7:/etc/httpd/conf.d/")
        .part("https on the web servers"),
        Step::new("Certificate and key to RS2", "director", "scp -p httpd.crt httpd.key 172.16.0.8:/etc/httpd/conf.d/")
            .means("The same pair for both: clients must not notice which server they have got. (scp is the lab's own here.)"),
        Step::new(
            "https on RS1",
            "rs1",
            "cat > /etc/httpd/conf.d/ssl.conf <<END\n\
             DocumentRoot \"/var/www/html\"\n\
             ServerName www.ilinux.io\n\
             SSLCertificateFile /etc/httpd/conf.d/httpd.crt\n\
             SSLCertificateKeyFile /etc/httpd/conf.d/httpd.key\n\
             END",
        )
        .means("The lecture installs mod_ssl and changes these four lines with vim."),
        Step::new("Is it right?", "rs1", "httpd -t").says("Syntax OK"),
        Step::new("Start it again", "rs1", "systemctl restart httpd.service"),
        Step::new("Who listens", "rs1", "ss -tnl").says(":80").says(":443"),
        Step::new("The same for RS2", "rs1", "cd /etc/httpd/conf.d; scp ssl.conf 172.16.0.8:/etc/httpd/conf.d/"),
        Step::new("Start it again", "rs2", "systemctl restart httpd.service; ss -tnl").says(":80").says(":443"),
        Step::new("Ask RS1 by its address", "director", "curl -sS --cacert /etc/pki/CA/cacert.pem https://172.16.0.7/test1.html")
            .fails("172.16.0.7")
            .means("The certificate is for a name, and nobody called the server by it."),
        Step::new("Give it the name", "director", "echo '172.16.0.7 www.ilinux.io' >> /etc/hosts"),
        Step::new("Ask by its name", "director", "curl -sS --cacert /etc/pki/CA/cacert.pem https://www.ilinux.io/test1.html")
            .says("rs1"),
    ]
}

/// Both ports of the VIP as one service.
fn one_service() -> Vec<Step> {
    vec![
        Step::new("Start ulvs", "director", "ulvs run --detach")
            .part("http and https as one service")
            .means("The one command that the lecture has not: there, the kernel does what ulvs does here."),
        Step::new("No rules yet", "director", "iptables -F; iptables -t mangle -vnL").says("Chain PREROUTING"),
        Step::new(
            "Mark what belongs together",
            "director",
            "iptables -t mangle -A PREROUTING -d 172.16.0.99 -p tcp -m multiport --dports 80,443 -j MARK --set-mark 3",
        )
        .means("Whatever comes for either port of the VIP now has the firewall mark 3."),
        Step::new("The rule", "director", "iptables -t mangle -vnL").says("multiport dports 80,443 MARK set 0x3"),
        Step::new("A service for the mark", "director", "ipvsadm -A -f 3 -s sh")
            .means("-f is the mark. sh picks the server by the client's address."),
        Step::new("RS1", "director", "ipvsadm -a -f 3 -r 172.16.0.7 -g").means("-g is direct routing (gatewaying)."),
        Step::new("RS2", "director", "ipvsadm -a -f 3 -r 172.16.0.8 -g"),
        Step::new("What there is", "director", "ipvsadm -ln")
            .says("FWM  3 sh")
            .check("both servers are there, by direct routing", |said| said.text.matches("Route").count() == 2),
        Step::new("The client learns the name", "client", "echo '172.16.0.99 www.ilinux.io' >> /etc/hosts"),
        Step::new("http, several times", "client", "for i in {1..5}; do curl -s http://www.ilinux.io/test1.html; done")
            .keep("http")
            .means(
                "With sh a client always gets the same server. The lesson asks for how long: for ever, it is a hash of the \
                 address and knows no time. A time has only persistence (-p).",
            )
            .check("always RS1, as in the lecture", |said| same(said) && count(said, "rs1") == 5),
        Step::new("The client learns the CA", "director", "scp /etc/pki/CA/cacert.pem 172.16.0.67:/root/"),
        Step::new(
            "https, several times",
            "client",
            "for i in {1..5}; do curl -s --cacert /root/cacert.pem https://www.ilinux.io/test1.html; done",
        )
        .means("The mark makes one service of two ports: whoever got RS1 by http gets RS1 by https.")
        .check("the same server as by http", |said| said.lines() == said.earlier("http").lines().collect::<Vec<_>>()),
    ]
}

/// What the lecture shows last.
const LOOP: &str = "for i in {1..10}; do curl -s http://www.ilinux.io/test1.html;\
                    curl -s --cacert /root/cacert.pem https://www.ilinux.io/test1.html;done";

/// Another scheduler, saving, the loop.
fn round_robin() -> Vec<Step> {
    vec![
        Step::new("Another scheduler", "director", "ipvsadm -E -f 3 -s rr").part("Round robin over both ports"),
        Step::new("Save the services", "director", "ipvsadm-save > /etc/sysconfig/ipvsadm; cat /etc/sysconfig/ipvsadm")
            .says("-A -f 3 -s rr")
            .check("both servers are in it", |said| said.text.matches("-a -f 3 -r ").count() == 2),
        Step::new("Save the rules", "director", "iptables-save > /etc/sysconfig/iptables; cat /etc/sysconfig/iptables")
            .says("-A PREROUTING -d 172.16.0.99/32 -p tcp -m multiport --dports 80,443 -j MARK --set-xmark 0x3/0xffffffff"),
        Step::new("Read them again", "director", "ipvsadm -C; ipvsadm-restore < /etc/sysconfig/ipvsadm; ipvsadm -ln")
            .means("As after a reboot. `ipvsadm -S` and `ipvsadm -R` are the same two.")
            .says("FWM  3 rr")
            .check("both servers are back", |said| said.text.matches("Route").count() == 2),
        Step::new("The loop", "client", LOOP)
            .show(20)
            .means("http and https take turns, and so do the servers: it is one service, and rr counts its connections.")
            .check("twenty answers, every one from the other server", |said| {
                alternates(said) && count(said, "rs1") == 10 && count(said, "rs2") == 10
            }),
    ]
}

/// Every port of a client on one server.
fn persistence() -> Vec<Step> {
    vec![
        Step::new("Every port, without -p", "director", "ipvsadm -A -t 172.16.0.99:0 -s rr")
            .part("Persistence for every port of a client")
            .fails("Zero port specified for non-persistent service")
            .means("Port 0 is every port. Without persistence one client's ports would go to different servers."),
        Step::new("The mark goes first", "director", "ipvsadm -D -f 3; iptables -t mangle -F")
            .means("A marked packet is looked up by its mark, never by its address: with both, the mark would win, and rr take turns. The kernel has it so, too."),
        Step::new("Every port, with -p", "director", "ipvsadm -A -t 172.16.0.99:0 -s rr -p"),
        Step::new("RS1", "director", "ipvsadm -a -t 172.16.0.99:0 -r 172.16.0.7 -g"),
        Step::new("RS2", "director", "ipvsadm -a -t 172.16.0.99:0 -r 172.16.0.8 -g"),
        Step::new("What there is", "director", "ipvsadm -ln").says("TCP  172.16.0.99:0 rr persistent 360"),
        Step::new("The loop again", "client", LOOP)
            .show(20)
            .means("rr would take turns; the template keeps the client where it was first, for 360 seconds. What the lesson leaves \
                 open, a director that fails and a server that is dead and still gets requests, is for health checks and a \
                 second director.")
            .check("twenty answers from one server", |said| same(said) && said.lines().len() == 20),
    ]
}
