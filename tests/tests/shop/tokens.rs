//! What proves nothing: tokens that somebody else has made, or made for something else.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use reqwest::Method;
use serde_json::{Value, json};
use shop_tests::{Answer, Customer, Shop, ShopOptions};

use crate::{raw, support::assert_told};

const ME: &str = "/api/v1/auth/me";
/// Something in each service that takes a token.
const DOORS: [(&str, Method, &str); 12] = [
    ("accounts", Method::GET, ME),
    ("accounts", Method::DELETE, "/api/v1/users/me"),
    ("catalog", Method::POST, "/api/v1/products"),
    ("catalog", Method::GET, "/api/v1/products?status=draft"),
    ("inventory", Method::GET, "/api/v1/inventory"),
    ("carts", Method::GET, "/api/v1/carts/1"),
    ("orders", Method::GET, "/api/v1/orders"),
    ("orders", Method::POST, "/api/v1/orders/1/cancel"),
    ("payments", Method::GET, "/api/v1/payments/1"),
    ("notifications", Method::GET, "/api/v1/notifications"),
    ("admin", Method::GET, "/api/v1/admin/audit"),
    ("config", Method::GET, "/api/config/services"),
];

/// What one needs to make a token that is as good as one of the shop.
struct Forge {
    header: Value,
    claims: Value,
    secret: Vec<u8>,
}

impl Forge {
    /// The newest key of the shop, and what it says of a customer who is signed in.
    fn of(shop: &Shop, customer: &Customer) -> Self {
        let [kid, secret] = ["kid", "secret"].map(|column| {
            let newest = format!("SELECT {column} FROM signing_keys ORDER BY created_at DESC");
            shop.value("accounts", &newest).as_str().unwrap().to_owned()
        });
        let session = shop.value("accounts", &format!("SELECT id FROM sessions WHERE user_id = {}", customer.id));
        let now = shop.now().as_secs();
        Self {
            header: json!({ "alg": "HS256", "typ": "JWT", "kid": kid }),
            claims: json!({ "iss": "bodega", "aud": "bodega-shop", "sub": customer.id.to_string(), "role": "user",
                "sid": session, "iat": now - 60, "nbf": now - 60, "exp": now + 600 }),
            secret: URL_SAFE_NO_PAD.decode(secret).unwrap(),
        }
    }

    fn signed(&self, header: &Value, claims: &Value, secret: &[u8]) -> String {
        let signed = unsigned(header, claims);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac_sha256::HMAC::mac(signed.as_bytes(), secret)))
    }

    fn genuine(&self) -> String {
        self.signed(&self.header, &self.claims, &self.secret)
    }

    fn claiming(&self, name: &str, value: Value) -> String {
        self.signed(&self.header, &with(&self.claims, name, value), &self.secret)
    }

    fn headed(&self, name: &str, value: Value) -> String {
        self.signed(&with(&self.header, name, value), &self.claims, &self.secret)
    }

    /// By another algorithm, with what that makes of our key.
    fn hs512(&self) -> String {
        let signed = unsigned(&with(&self.header, "alg", json!("HS512")), &self.claims);
        format!("{signed}.{}", URL_SAFE_NO_PAD.encode(hmac_sha512::HMAC::mac(signed.as_bytes(), &self.secret)))
    }
}

fn part(json: &Value) -> String {
    URL_SAFE_NO_PAD.encode(json.to_string())
}

fn unsigned(header: &Value, claims: &Value) -> String {
    format!("{}.{}", part(header), part(claims))
}

/// The same with another value; without it when that is null.
fn with(json: &Value, name: &str, value: Value) -> Value {
    let mut json = json.clone();
    match value {
        Value::Null => drop(json.as_object_mut().unwrap().remove(name)),
        value => json[name] = value,
    }
    json
}

fn bad(forge: &Forge, now: u64, genuine: &str) -> Vec<(&'static str, String)> {
    let parts: Vec<&str> = genuine.split('.').collect();
    let none = with(&forge.header, "alg", json!("none"));
    let admin = with(&forge.claims, "role", json!("admin"));
    let es256 =
        format!("{}.{}", unsigned(&with(&forge.header, "alg", json!("ES256")), &forge.claims), parts[2].repeat(2));
    let own_key = with(&forge.header, "jwk", json!({ "kty": "oct", "k": URL_SAFE_NO_PAD.encode([7; 32]) }));
    vec![
        ("nothing", String::new()),
        ("no token", "x".to_owned()),
        ("too long", "x".repeat(3000)),
        ("a long one that is well formed", forge.claiming("x", json!("y".repeat(4000)))),
        ("too few parts", format!("{}.{}", parts[0], parts[1])),
        ("too many parts", format!("{genuine}.{}", parts[2])),
        ("no signature", format!("{}.{}.", parts[0], parts[1])),
        ("another signature", format!("{}.{}.{}", parts[0], parts[1], URL_SAFE_NO_PAD.encode([7; 32]))),
        ("half a signature", genuine[..genuine.len() - 20].to_owned()),
        ("another payload", format!("{}.{}.{}", parts[0], part(&admin), parts[2])),
        ("the payload of nobody", format!("{}..{}", parts[0], parts[2])),
        ("alg none, unsigned", format!("{}.", unsigned(&none, &forge.claims))),
        ("alg none, an admin", format!("{}.", unsigned(&none, &admin))),
        ("alg none, without a key's name", format!("{}.", unsigned(&json!({ "alg": "none" }), &admin))),
        ("alg none, signed", forge.headed("alg", json!("none"))),
        ("alg None", forge.headed("alg", json!("None"))),
        ("HS512 with our key", forge.hs512()),
        ("HS512 by name", forge.headed("alg", json!("HS512"))),
        ("RS256 with our key as a secret", forge.headed("alg", json!("RS256"))),
        ("ES256", es256),
        ("EdDSA", forge.headed("alg", json!("EdDSA"))),
        ("alg in small letters", forge.headed("alg", json!("hs256"))),
        ("no alg", forge.headed("alg", json!(null))),
        ("alg is a number", forge.headed("alg", json!(256))),
        ("a foreign key under our name", forge.signed(&forge.header, &forge.claims, &[7; 32])),
        ("an empty key under our name", forge.signed(&forge.header, &forge.claims, &[])),
        ("a key that it brings along", forge.signed(&own_key, &forge.claims, &[7; 32])),
        ("an unknown key", forge.headed("kid", json!("00000000-0000-7000-8000-000000000000"))),
        ("a key of another kind", forge.headed("kid", json!("' OR 1=1 --"))),
        ("a key that is a file", forge.signed(&with(&forge.header, "kid", json!("/dev/null")), &forge.claims, &[])),
        ("no key named", forge.headed("kid", json!(null))),
        ("another audience", forge.claiming("aud", json!("another-shop"))),
        ("other audiences", forge.claiming("aud", json!(["another-shop", "bodega"]))),
        ("no audience", forge.claiming("aud", json!(null))),
        ("another issuer", forge.claiming("iss", json!("mallory"))),
        ("no issuer", forge.claiming("iss", json!(null))),
        ("expired", forge.claiming("exp", json!(now - 1))),
        ("expired long ago", forge.claiming("exp", json!(1))),
        ("without an end", forge.claiming("exp", json!(null))),
        ("an end that is a text", forge.claiming("exp", json!("tomorrow"))),
        ("not yet valid", forge.claiming("nbf", json!(now + 300))),
        ("no subject", forge.claiming("sub", json!(null))),
        ("an empty subject", forge.claiming("sub", json!(""))),
        ("a subject that is no account", forge.claiming("sub", json!("ann"))),
        ("a role that does not exist", forge.claiming("role", json!("owner"))),
        ("no role", forge.claiming("role", json!(null))),
        ("no session", forge.claiming("sid", json!(null))),
    ]
}

#[track_caller]
fn assert_challenged(answer: &Answer, path: &str, challenge: &str, what: &str) {
    assert_told(answer, path, 401, "unauthenticated", what);
    assert_eq!(answer.header("www-authenticate"), Some(challenge), "{what}");
}

#[tokio::test]
async fn only_our_own_tokens_of_now_prove_anything() {
    let shop = Shop::start(ShopOptions::default()).await;
    let ann = shop.customer("ann").await;
    let genuine = shop.access_token(&ann).await;
    let forge = Forge::of(&shop, &ann);
    let now = shop.now().as_secs();
    let good = [
        ("the genuine one", genuine.clone()),
        ("one made like it", forge.genuine()),
        ("one for us and others", forge.claiming("aud", json!(["another-shop", "bodega-shop"]))),
    ];
    let bad = bad(&forge, now, &genuine);
    let ask = |door: &(&str, Method, &str)| {
        let call = shop.request(door.1.clone(), door.2);
        if door.1 == Method::GET { call } else { call.json(&json!({})) }
    };
    for door in &DOORS {
        let door_name = format!("{} {}", door.1, door.2);
        for (what, token) in &good {
            let status = ask(door).bearer(token).await.status.as_u16();
            assert!([200, 403, 404, 422].contains(&status), "{door_name} with {what}: {status}");
        }
        for (what, token) in &bad {
            let answer = ask(door).bearer(token).await;
            assert_challenged(&answer, door.2, "Bearer error=\"invalid_token\"", &format!("{door_name} with {what}"));
        }
        assert_challenged(&ask(door).await, door.2, "Bearer", &door_name);
        // RFC 6750 3.1: another scheme is no token, so nothing is wrong with it.
        for (scheme, challenge) in [
            ("Basic YW5uOnB3".to_owned(), "Bearer"),
            (format!("Token {genuine}"), "Bearer"),
            ("Bearer".to_owned(), "Bearer error=\"invalid_token\""),
            (genuine.clone(), "Bearer error=\"invalid_token\""),
            (format!("Bearer {genuine} {genuine}"), "Bearer error=\"invalid_token\""),
            (format!("Bearer {genuine}, Bearer {genuine}"), "Bearer error=\"invalid_token\""),
        ] {
            let answer = ask(door).header("authorization", &scheme).await;
            assert_challenged(&answer, door.2, challenge, &format!("{door_name} {scheme}"));
        }
    }
    shop.get(ME).header("authorization", &format!("bearer {genuine}")).await.expect(200);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_tokens_none_is_believed() {
    let shop = Shop::start(ShopOptions::default()).await;
    let (ann, bob) = (shop.customer("ann").await, shop.customer("bob").await);
    let (ann, bob) = (shop.access_token(&ann).await, shop.access_token(&bob).await);
    for (_, method, path) in &DOORS {
        let host = shop.url().replace("http://", "");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: application/json\r\n\
             Content-Length: 2\r\nAuthorization: Bearer {ann}\r\n"
        );
        let one = raw::request(&shop, format!("{head}\r\n{{}}")).await;
        assert_ne!((one.status(), one.status() > 0), (401, true), "{path}: {}", one.text);
        for second in [&bob, &ann, "x"] {
            let two = raw::request(&shop, format!("{head}authorization: Bearer {second}\r\n\r\n{{}}")).await;
            assert_eq!(two.status(), 401, "{path}: {}", two.text);
            assert!(two.text.contains("the access token is not valid"), "{path}: {}", two.text);
        }
    }
}
