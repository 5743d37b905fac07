//! Certificates of clients.

use rcgen::{
    CertificateRevocationListParams, ExtendedKeyUsagePurpose, KeyIdMethod, RevokedCertParams, SerialNumber,
};
use rustls::{AlertDescription, CertificateError, Error};

use super::*;

/// A client's certificate with this serial number, from this authority.
fn person(ca: &Ca, serial: u64) -> Made {
    let mut params = params("Ulla V. S.");
    params.distinguished_name.push(DnType::OrganizationName, "Real, Servers + Sons");
    params.serial_number = Some(SerialNumber::from(serial));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
    params.use_authority_key_identifier_extension = true;
    ca.sign(&params, &Kind::P256.key())
}

fn crl(ca: &Ca, revoked: &[u64], next_update: SystemTime) -> Source {
    let revoked_certs = revoked
        .iter()
        .map(|serial| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: (*NOW - DAY).into(),
            reason_code: None,
            invalidity_date: None,
        })
        .collect();
    let params = CertificateRevocationListParams {
        this_update: (*NOW - DAY).into(),
        next_update: next_update.into(),
        crl_number: SerialNumber::from(1),
        issuing_distribution_point: None,
        revoked_certs,
        key_identifier_method: KeyIdMethod::Sha256,
    };
    source("ca.crl", params.signed_by(&ca.issuer).unwrap().pem().unwrap())
}

fn bearing(ca: &Ca, versions: Versions, certificate: Option<&[&Made]>) -> Arc<ClientConfig> {
    let provider = CryptoProvider::clone(&provider());
    let builder = client_builder(provider, versions).with_root_certificates(roots(ca));
    Arc::new(match certificate {
        Some(chain) => {
            let key = source("client.key", &chain[0].key).keys().unwrap().remove(0);
            builder.with_client_auth_cert(chain.iter().map(|made| made.der.clone()).collect(), key).unwrap()
        }
        None => builder.with_no_client_auth(),
    })
}

/// What a front with this policy makes of a client, whatever the version.
fn verdict(
    ca: &Ca,
    client_certificates: &ClientCertificates,
    certificate: Option<&[&Made]>,
) -> Result<Option<ClientIdentity>, Error> {
    let www = ca.issue(&["www.example"], Kind::P256);
    let settings = FrontSettings { client_certificates: client_certificates.clone(), ..settings(&[&www]) };
    let front = front(&settings);
    let [old, new] = [TLS12, TLS13].map(|versions| {
        meet(&front, &bearing(ca, versions, certificate), "www.example")
            .map(|session| session.server.peer_certificates().and_then(ClientIdentity::of))
            .map_err(|failure| match failure {
                Failure::Handshake { server, client: Some(Error::AlertReceived(_)) } => server,
                other => panic!("the client learns of it by an alert: {other:?}"),
            })
    });
    assert_eq!(old, new);
    new
}

fn authorities(ca: &Ca, crls: Vec<Source>) -> Authorities {
    Authorities { ca: source("clients.pem", &ca.made.pem), crls }
}

#[test]
fn a_client_with_a_certificate_is_known_by_its_subject_and_fingerprint() {
    let ca = Ca::new("ca");
    let ulla = person(&ca, 1);
    for policy in [ClientCertificates::Required, ClientCertificates::Optional] {
        let known = verdict(&ca, &policy(authorities(&ca, vec![])), Some(&[&ulla])).unwrap().unwrap();
        assert_eq!(known.subject, r"O=Real\, Servers \+ Sons,CN=Ulla V. S.");
        assert_eq!(known.fingerprint, Fingerprint::of(&ulla.der));
    }
    assert_eq!(verdict(&ca, &ClientCertificates::Off, Some(&[&ulla])), Ok(None), "nobody asked");
}

#[test]
fn a_client_without_is_served_where_certificates_are_optional_only() {
    let ca = Ca::new("ca");
    let optional = ClientCertificates::Optional(authorities(&ca, vec![]));
    assert_eq!(verdict(&ca, &optional, None), Ok(None));
    let required = ClientCertificates::Required(authorities(&ca, vec![]));
    assert_eq!(verdict(&ca, &required, None), Err(Error::NoCertificatesPresented));
}

#[test]
fn a_strangers_certificate_is_refused_even_where_none_is_needed() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let stranger = person(&other, 1);
    for policy in [ClientCertificates::Required, ClientCertificates::Optional] {
        let verdict = verdict(&ca, &policy(authorities(&ca, vec![])), Some(&[&stranger]));
        assert_eq!(verdict, Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)));
    }
}

#[test]
fn a_revoked_certificate_is_refused_and_its_neighbour_is_not() {
    let ca = Ca::new("ca");
    let (one, two) = (person(&ca, 1), person(&ca, 2));
    let list = crl(&ca, &[1], *NOW + DAY);
    let required = ClientCertificates::Required(authorities(&ca, vec![list]));
    let revoked = verdict(&ca, &required, Some(&[&one]));
    assert_eq!(revoked, Err(Error::InvalidCertificate(CertificateError::Revoked)));
    assert!(verdict(&ca, &required, Some(&[&two])).unwrap().is_some());
}

#[test]
fn clients_of_an_authority_whose_list_is_missing_are_refused_and_the_owner_is_told() {
    let (ca, other) = (Ca::new("ca"), Ca::new("other"));
    let mut authorities = authorities(&ca, vec![crl(&ca, &[], *NOW + DAY)]);
    authorities.ca.bytes.extend(other.made.pem.bytes());
    let required = ClientCertificates::Required(authorities);
    let unknown = verdict(&ca, &required, Some(&[&person(&other, 1)]));
    assert_eq!(unknown, Err(Error::InvalidCertificate(CertificateError::UnknownRevocationStatus)));
    let mut warnings = Vec::new();
    required.verification(*NOW, &mut warnings).unwrap();
    let missing = Warning::NoCrlOf { file: "clients.pem".to_owned(), subject: "CN=other".to_owned() };
    assert_eq!(warnings, [missing]);
}

#[test]
fn a_list_that_should_have_been_replaced_still_counts_and_the_owner_is_told() {
    let ca = Ca::new("ca");
    let required = ClientCertificates::Required(authorities(&ca, vec![crl(&ca, &[1], *NOW - DAY / 2)]));
    assert!(verdict(&ca, &required, Some(&[&person(&ca, 1)])).is_err());
    assert!(verdict(&ca, &required, Some(&[&person(&ca, 2)])).is_ok());
    let mut warnings = Vec::new();
    required.verification(*NOW, &mut warnings).unwrap();
    assert!(matches!(&warnings[..], [Warning::OldCrl { issuer, .. }] if issuer == "CN=ca"), "{warnings:?}");
}

#[test]
fn a_client_brings_the_authorities_between_along() {
    let root = Ca::new("root");
    let between = root.below("between");
    let ulla = person(&between, 1);
    let required = ClientCertificates::Required(authorities(&root, vec![]));
    assert!(verdict(&root, &required, Some(&[&ulla, &between.made])).is_ok());
    assert!(verdict(&root, &required, Some(&[&ulla])).is_err());
}

#[test]
fn a_ticket_does_not_let_anybody_in_who_would_not_be_without() {
    let ca = Ca::new("ca");
    let www = ca.issue(&["www.example"], Kind::P256);
    let clock = Clock::at(*NOW);
    let keys = TicketKeys::shared(&source("tickets", [7; 32]), TicketTimes::default(), &clock).unwrap();
    let with = |client_certificates| {
        let tickets = Some(Arc::clone(&keys));
        let settings = FrontSettings { client_certificates, tickets, ..settings(&[&www]) };
        Front::new(&settings, &clock).unwrap().0
    };
    let open = with(ClientCertificates::Off);
    let ajar = with(ClientCertificates::Optional(authorities(&ca, vec![])));
    let closed = with(ClientCertificates::Required(authorities(&ca, vec![])));
    let list = crl(&ca, &[1], *NOW + DAY);
    let stricter = with(ClientCertificates::Required(authorities(&ca, vec![list])));
    for versions in [TLS12, TLS13] {
        let nobody = bearing(&ca, versions, None);
        for from in [&open, &ajar] {
            meet(from, &nobody, "www.example").unwrap();
            assert!(meet(&closed, &nobody, "www.example").is_err(), "from where no certificate is needed");
        }

        let ulla = bearing(&ca, versions, Some(&[&person(&ca, 1)]));
        meet(&closed, &ulla, "www.example").unwrap();
        let again = meet(&closed, &ulla, "www.example").unwrap();
        assert_eq!(again.kind(), HandshakeKind::Resumed);
        let known = ClientIdentity::of(again.server.peer_certificates().unwrap()).unwrap();
        assert_eq!(
            known.subject, r"O=Real\, Servers \+ Sons,CN=Ulla V. S.",
            "known without showing it again"
        );
        let revoked = meet(&stricter, &ulla, "www.example");
        let alert = Error::AlertReceived(AlertDescription::CertificateRevoked);
        assert!(
            matches!(&revoked, Err(Failure::Handshake { client: Some(told), .. }) if *told == alert),
            "since it has been revoked: {revoked:?}"
        );
    }
}

#[test]
fn tickets_go_by_authorities_and_lists_in_whatever_order() {
    let (one, two) = (Ca::new("one"), Ca::new("two"));
    let (none, some) = (crl(&one, &[], *NOW + DAY), crl(&one, &[1], *NOW + DAY));
    let digest = |cas: [&Ca; 2], crls: &[&Source]| {
        let ca = source("clients.pem", format!("{}{}", cas[0].made.pem, cas[1].made.pem));
        let crls = crls.iter().map(|crl| (*crl).clone()).collect();
        let required = ClientCertificates::Required(Authorities { ca, crls });
        required.verification(*NOW, &mut Vec::new()).unwrap().digest
    };
    assert_eq!(digest([&one, &two], &[&none, &some]), digest([&two, &one], &[&some, &none]));
    assert_ne!(digest([&one, &two], &[]), digest([&one, &one], &[]));
    assert_ne!(digest([&one, &two], &[&none]), digest([&one, &two], &[&some]));
}

#[test]
fn files_that_hold_no_authority_or_no_list_are_named() {
    let ca = Ca::new("ca");
    let refused = |authorities| {
        let mut warnings = Vec::new();
        match ClientCertificates::Required(authorities).verification(*NOW, &mut warnings) {
            Ok(_) => panic!("it should be refused"),
            Err(error) => error.to_string(),
        }
    };
    let nothing = Authorities { ca: source("clients.pem", "nothing"), crls: vec![] };
    assert!(refused(nothing).starts_with("clients.pem: no certificate in it"));
    let no_list = authorities(&ca, vec![source("ca.crl", &ca.made.pem)]);
    assert!(refused(no_list).starts_with("ca.crl: no revocation list in it"));
    let damaged = "-----BEGIN X509 CRL-----\nMAA=\n-----END X509 CRL-----\n";
    let damaged = authorities(&ca, vec![source("ca.crl", damaged)]);
    assert_eq!(refused(damaged), "ca.crl: revocation list 1 in it is damaged");
    let damaged = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    let damaged = Authorities { ca: source("clients.pem", damaged), crls: vec![] };
    assert!(refused(damaged).starts_with("clients.pem: certificate 1 in it cannot be trusted"));
}
