//! Prometheus' text format, version 0.0.4.

use std::{
    collections::BTreeMap,
    fmt::{Display, Write},
};

use web::metrics::{BOUNDS, Counted, Report};

type Reports = BTreeMap<&'static str, Option<Report>>;

/// What services tell, a family after the other.
pub(crate) fn write(reports: &Reports) -> String {
    let mut text = Text(String::new());
    text.family("bodega_up", "gauge", "Whether the service answers.");
    for (service, report) in reports {
        text.sample("bodega_up", &[("service", service)], i32::from(report.is_some()));
    }
    let known: Vec<_> =
        reports.iter().filter_map(|(service, report)| report.as_ref().map(|report| (*service, report))).collect();
    requests(&mut text, &known);
    durations(&mut text, &known);
    outbox(&mut text, &known);
    outages(&mut text, &known);
    gauges(&mut text, &known);
    text.0
}

fn requests(text: &mut Text, reports: &[(&str, &Report)]) {
    const NAME: &str = "http_requests_total";
    text.family(NAME, "counter", "Requests by service, method, route and status; internal ones, too.");
    for (service, report) in reports {
        for counted in &report.requests {
            let status = counted.status.to_string();
            let labels = [
                ("service", *service),
                ("method", &counted.method),
                ("route", &counted.route),
                ("status", status.as_str()),
            ];
            text.sample(NAME, &labels, counted.buckets.iter().sum::<u64>());
        }
    }
}

/// Statuses are put together: each would be fifteen series more.
fn durations(text: &mut Text, reports: &[(&str, &Report)]) {
    const NAME: &str = "http_request_duration_seconds";
    text.family(NAME, "histogram", "Time from a request's arrival in its service until the answer goes out.");
    for (service, report) in reports {
        // Sorted by route and method, and only then by status.
        let same = |a: &Counted, b: &Counted| a.route == b.route && a.method == b.method;
        for counted in report.requests.chunk_by(same) {
            let labels = [("service", *service), ("method", &counted[0].method), ("route", &counted[0].route)];
            let mut count = 0;
            let bounds = BOUNDS.iter().map(|(bound, _)| *bound).chain(["+Inf"]);
            for (bucket, bound) in bounds.enumerate() {
                count += counted.iter().map(|counted| counted.buckets[bucket]).sum::<u64>();
                let [service, method, route] = labels;
                text.sample(&format!("{NAME}_bucket"), &[service, method, route, ("le", bound)], count);
            }
            let micros: u64 = counted.iter().map(|counted| counted.micros).sum();
            text.sample(&format!("{NAME}_sum"), &labels, Seconds(micros));
            text.sample(&format!("{NAME}_count"), &labels, count);
        }
    }
}

fn outbox(text: &mut Text, reports: &[(&str, &Report)]) {
    let mut each = |name: &str, help: &str, value: &dyn Fn(&Report) -> String| {
        text.family(name, "gauge", help);
        for (service, report) in reports {
            text.sample(name, &[("service", service)], value(report));
        }
    };
    each(
        "bodega_outbox_backlog",
        "Copies of events that a subscriber does not have yet, without parked ones.",
        &|report| report.backlog.to_string(),
    );
    each(
        "bodega_outbox_oldest_age_seconds",
        "How long the oldest of these has waited; 0 when there is none.",
        &|report| Seconds(u64::try_from(report.oldest_age_ms).unwrap_or(0) * 1000).to_string(),
    );
    each("bodega_outbox_parked", "Copies of events that were given up, until somebody replays them.", &|report| {
        report.parked.to_string()
    });
}

/// Nothing while all subscribers can be reached.
fn outages(text: &mut Text, reports: &[(&str, &Report)]) {
    const NAME: &str = "bodega_events_unreachable_seconds";
    if reports.iter().any(|(_, report)| !report.outages.is_empty()) {
        text.family(NAME, "gauge", "For how long a subscriber has taken nothing; its events are held.");
    }
    for (service, report) in reports {
        for (subscriber, millis) in &report.outages {
            text.sample(NAME, &[("service", service), ("subscriber", subscriber)], millis / 1000);
        }
    }
}

fn gauges(text: &mut Text, reports: &[(&str, &Report)]) {
    for gauge in reports.iter().flat_map(|(_, report)| &report.gauges) {
        text.family(&gauge.name, "gauge", &gauge.help);
        for (word, value) in &gauge.values {
            text.sample(&gauge.name, &[(&gauge.label, word)], value);
        }
    }
}

/// Microseconds as a number of seconds, exactly.
struct Seconds(u64);

impl Display for Seconds {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:06}", self.0 / 1_000_000, self.0 % 1_000_000)
    }
}

struct Text(String);

impl Text {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        let help = help.replace('\\', "\\\\").replace('\n', "\\n");
        self.line(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn sample(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        self.0.push_str(name);
        for (position, (label, value)) in labels.iter().enumerate() {
            let value = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
            let before = if position == 0 { '{' } else { ',' };
            self.line(format_args!("{before}{label}=\"{value}\""));
        }
        self.line(format_args!("}} {value}\n"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a String cannot fail.
        _ = self.0.write_fmt(line);
    }
}

#[cfg(test)]
mod tests {
    use web::metrics::Gauge;

    use super::*;

    fn counted(route: &str, status: u16, bucket: usize, requests: u64) -> Counted {
        let mut buckets = [0; BOUNDS.len() + 1];
        buckets[bucket] = requests;
        Counted { method: "GET".into(), route: route.into(), status, micros: 1_500_000, buckets }
    }

    #[test]
    fn families_are_told_once_with_all_their_samples() {
        let report = |requests, gauges| {
            Some(Report { requests, backlog: 3, oldest_age_ms: 1500, parked: 0, outages: Vec::new(), gauges })
        };
        let states = Gauge::new("states", "By \\ state.", "state", ["a", "b"], vec![("b".into(), 7)]);
        let text = write(&BTreeMap::from([
            ("one", report(vec![counted("/a", 200, 0, 2), counted("/a", 404, 13, 1)], vec![states])),
            ("three", report(vec![counted("\"\\\n", 200, 12, 1)], vec![])),
            ("two", None),
        ]));
        let lines: Vec<_> = text.lines().collect();
        for line in [
            "bodega_up{service=\"one\"} 1",
            "bodega_up{service=\"two\"} 0",
            "http_requests_total{service=\"one\",method=\"GET\",route=\"/a\",status=\"200\"} 2",
            "http_requests_total{service=\"one\",method=\"GET\",route=\"/a\",status=\"404\"} 1",
            "http_requests_total{service=\"three\",method=\"GET\",route=\"\\\"\\\\\\n\",status=\"200\"} 1",
            "http_request_duration_seconds_bucket{service=\"one\",method=\"GET\",route=\"/a\",le=\"0.001\"} 2",
            "http_request_duration_seconds_bucket{service=\"one\",method=\"GET\",route=\"/a\",le=\"10\"} 2",
            "http_request_duration_seconds_bucket{service=\"one\",method=\"GET\",route=\"/a\",le=\"+Inf\"} 3",
            "http_request_duration_seconds_sum{service=\"one\",method=\"GET\",route=\"/a\"} 3.000000",
            "http_request_duration_seconds_count{service=\"one\",method=\"GET\",route=\"/a\"} 3",
            "bodega_outbox_backlog{service=\"one\"} 3",
            "bodega_outbox_oldest_age_seconds{service=\"three\"} 1.500000",
            "# HELP states By \\\\ state.",
            "states{state=\"a\"} 0",
            "states{state=\"b\"} 7",
        ] {
            assert!(lines.contains(&line), "{line}\n{text}");
        }
        let types: Vec<_> = lines.iter().filter(|line| line.starts_with("# TYPE")).collect();
        assert_eq!(types.len(), 7, "{types:?}");
        assert!(text.ends_with('\n') && !text.contains("two\",method"));
    }
}
