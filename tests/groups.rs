//! Consumer groups with unmodified clients: members join, leave and are killed under load, and so is the broker.
//!
//! One row per client and protocol; what each goes through is in `groups/scenario.rs`, the programs are in
//! `tests/clients/`. On a broker of its own per scenario. Everything here can be run against Apache Kafka as well
//! (`CORELANE_TEST_ORACLE=1`).

pub mod watch;
pub mod member;
pub mod load;
mod scenario;

use crate::groups::member::{Client, Program};

const KAFKA_PYTHON: Client =
    Client { name: "kafka-python", program: Program::Python("kafkapython_member.py"), protocol: "classic" };
const KAFKA_PYTHON_COOPERATIVE: Client =
    Client { name: "kafka-python-cooperative", protocol: "cooperative", ..KAFKA_PYTHON };
const AIOKAFKA: Client =
    Client { name: "aiokafka", program: Program::Python("aio_member.py"), protocol: "classic" };
const CONFLUENT: Client =
    Client { name: "confluent", program: Program::Python("confluent_member.py"), protocol: "classic" };
const CONFLUENT_COOPERATIVE: Client =
    Client { name: "confluent-cooperative", protocol: "cooperative", ..CONFLUENT };
const CONFLUENT_CONSUMER: Client = Client { name: "confluent-consumer", protocol: "consumer", ..CONFLUENT };
const KAFKAJS: Client = Client { name: "kafkajs", program: Program::Node, protocol: "classic" };
const FRANZ: Client = Client { name: "franz-go", program: Program::Built("franz"), protocol: "classic" };
const FRANZ_COOPERATIVE: Client = Client { name: "franz-go-cooperative", protocol: "cooperative", ..FRANZ };
const FRANZ_CONSUMER: Client = Client { name: "franz-go-consumer", protocol: "consumer", ..FRANZ };
const SARAMA: Client = Client { name: "sarama", program: Program::Built("sarama"), protocol: "classic" };
const SARAMA_COOPERATIVE: Client = Client { name: "sarama-cooperative", protocol: "cooperative", ..SARAMA };
const JAVA: Client = Client { name: "java", program: Program::Java, protocol: "classic" };
const JAVA_COOPERATIVE: Client = Client { name: "java-cooperative", protocol: "cooperative", ..JAVA };
const JAVA_CONSUMER: Client = Client { name: "java-consumer", protocol: "consumer", ..JAVA };

/// One test per client, protocol and scenario.
macro_rules! scenarios {
    ($($test:ident: $scenario:ident $client:ident;)*) => {
        $(#[test]
        fn $test() {
            scenario::$scenario($client);
        })*
    };
}

scenarios! {
    kafka_python_at_least_once: at_least_once KAFKA_PYTHON;
    kafka_python_at_most_once: at_most_once KAFKA_PYTHON;
    kafka_python_static_member: static_member KAFKA_PYTHON;
    kafka_python_cooperative_at_least_once: at_least_once KAFKA_PYTHON_COOPERATIVE;
    aiokafka_at_least_once: at_least_once AIOKAFKA;
    aiokafka_at_most_once: at_most_once AIOKAFKA;
    aiokafka_static_member: static_member AIOKAFKA;
    confluent_classic_at_least_once: at_least_once CONFLUENT;
    confluent_classic_at_most_once: at_most_once CONFLUENT;
    confluent_classic_static_member: static_member CONFLUENT;
    confluent_cooperative_at_least_once: at_least_once CONFLUENT_COOPERATIVE;
    confluent_cooperative_at_most_once: at_most_once CONFLUENT_COOPERATIVE;
    confluent_consumer_at_least_once: at_least_once CONFLUENT_CONSUMER;
    confluent_consumer_at_most_once: at_most_once CONFLUENT_CONSUMER;
    confluent_consumer_static_member: static_member CONFLUENT_CONSUMER;
    confluent_consumer_static_member_killed: static_member_killed CONFLUENT_CONSUMER;
    kafkajs_at_least_once: at_least_once KAFKAJS;
    kafkajs_at_most_once: at_most_once KAFKAJS;
    franz_go_classic_at_least_once: at_least_once FRANZ;
    franz_go_classic_static_member: static_member FRANZ;
    franz_go_cooperative_at_least_once: at_least_once FRANZ_COOPERATIVE;
    franz_go_cooperative_at_most_once: at_most_once FRANZ_COOPERATIVE;
    franz_go_consumer_at_least_once: at_least_once FRANZ_CONSUMER;
    franz_go_consumer_at_most_once: at_most_once FRANZ_CONSUMER;
    sarama_classic_at_least_once: at_least_once SARAMA;
    sarama_classic_at_most_once: at_most_once SARAMA;
    sarama_classic_static_member: static_member SARAMA;
    sarama_cooperative_at_least_once: at_least_once SARAMA_COOPERATIVE;
    java_classic_at_least_once: at_least_once JAVA;
    java_classic_at_most_once: at_most_once JAVA;
    java_classic_static_member: static_member JAVA;
    java_cooperative_at_least_once: at_least_once JAVA_COOPERATIVE;
    java_consumer_at_least_once: at_least_once JAVA_CONSUMER;
    java_consumer_at_most_once: at_most_once JAVA_CONSUMER;
    java_consumer_static_member: static_member JAVA_CONSUMER;
    java_consumer_static_member_killed: static_member_killed JAVA_CONSUMER;
}
