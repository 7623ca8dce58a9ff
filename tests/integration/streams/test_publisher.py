"""The publisher delivers events to all followers, in order, with bounded queues."""

from __future__ import annotations

import asyncio
from uuid import UUID, uuid4

from executions.progress.publisher import ProgressPublisher, Subscription
from tests.factories.events import make_message
from tests.support.waiting import HANG_SECONDS


def following(publisher: ProgressPublisher, execution_id: UUID) -> Subscription:
    """Return a subscription whose follower has read the table."""
    subscription = publisher.subscribe(execution_id)
    subscription.catch_up()
    return subscription


def sequences(subscription: Subscription) -> list[int]:
    return [message.number for message in subscription.take()]


async def test_every_subscriber_gets_every_event_in_order() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    first, second = following(publisher, execution_id), following(publisher, execution_id)

    publisher.publish([make_message(execution_id, 1), make_message(execution_id, 2)])
    publisher.publish([make_message(execution_id, 3)])

    assert sequences(first) == [1, 2, 3]
    assert sequences(second) == [1, 2, 3]


async def test_a_subscriber_gets_nothing_of_other_executions() -> None:
    publisher, mine = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, mine)

    publisher.publish([make_message(uuid4(), 1), make_message(mine, 1), make_message(uuid4(), 2)])

    assert sequences(subscription) == [1]


async def test_an_unsubscribed_one_gets_nothing_and_the_others_go_on() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    gone, staying = following(publisher, execution_id), following(publisher, execution_id)

    publisher.unsubscribe(gone)
    publisher.unsubscribe(gone)
    publisher.publish([make_message(execution_id, 1)])

    assert sequences(gone) == []
    assert sequences(staying) == [1]


async def test_no_snapshot_is_kept_of_an_execution_without_followers() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, execution_id)
    publisher.publish([make_message(execution_id, 1)])
    assert publisher.unread([execution_id]) == {execution_id: 1}

    publisher.unsubscribe(subscription)

    assert publisher.unread([execution_id]) == {}


async def test_a_full_queue_is_dropped_and_its_subscriber_alone_is_behind() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=2), uuid4()
    slow, quick = following(publisher, execution_id), following(publisher, execution_id)

    publisher.publish([make_message(execution_id, 1), make_message(execution_id, 2)])
    quick.take()
    publisher.publish([make_message(execution_id, 3)])
    publisher.publish([make_message(execution_id, 4)])

    assert slow.behind
    assert sequences(slow) == []
    assert not quick.behind
    assert sequences(quick) == [3, 4]


async def test_a_new_subscriber_is_behind_until_it_has_caught_up() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = publisher.subscribe(execution_id)

    publisher.publish([make_message(execution_id, 1)])
    assert subscription.behind
    assert sequences(subscription) == []

    subscription.catch_up()
    publisher.publish([make_message(execution_id, 2)])
    assert sequences(subscription) == [2]


async def test_all_are_behind_when_notifications_may_be_lost() -> None:
    publisher = ProgressPublisher(queue_size=10)
    subscriptions = [following(publisher, uuid4()) for _ in range(3)]

    publisher.mark_all_behind()

    assert all(subscription.behind for subscription in subscriptions)


async def test_an_event_is_encoded_once_for_all_subscribers() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    first, second = following(publisher, execution_id), following(publisher, execution_id)

    publisher.publish([make_message(execution_id, 1)])

    assert first.take()[0].payload is second.take()[0].payload


async def test_waiting_ends_with_an_event_and_with_the_time() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, execution_id)

    assert await subscription.wait(0.01) is False

    waiting = asyncio.create_task(subscription.wait(HANG_SECONDS))
    await asyncio.sleep(0)
    publisher.publish([make_message(execution_id, 1)])
    assert await waiting is True


async def test_a_silence_is_counted_from_the_last_event() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, execution_id)
    loop = asyncio.get_running_loop()

    for sequence in range(1, 4):
        loop.call_later(0.1, publisher.publish, [make_message(execution_id, sequence)])
        assert await subscription.wait(HANG_SECONDS) is True
        assert sequences(subscription) == [sequence]
    began = loop.time()
    assert await subscription.wait(0.25) is False
    assert loop.time() - began >= 0.25


async def test_a_shorter_wait_is_not_held_up_by_a_longer_one_before() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, execution_id)
    asyncio.get_running_loop().call_later(0.01, publisher.publish, [make_message(execution_id, 1)])
    assert await subscription.wait(HANG_SECONDS) is True
    assert sequences(subscription) == [1]

    async with asyncio.timeout(HANG_SECONDS):
        assert await subscription.wait(0.01) is False


async def test_a_hint_before_anyone_has_read_the_table_sends_its_followers_there() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, execution_id)

    assert publisher.unread([execution_id]) == {}
    assert subscription.behind


async def test_a_second_reader_does_not_move_the_position_that_the_first_has_set() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    following(publisher, execution_id)

    publisher.start_at(execution_id, 3)
    publisher.start_at(execution_id, 9)

    assert publisher.unread([execution_id]) == {execution_id: 3}


async def test_closing_wakes_every_subscriber_and_closes_those_that_come_later() -> None:
    publisher, execution_id = ProgressPublisher(queue_size=10), uuid4()
    subscription = following(publisher, execution_id)

    publisher.close()

    assert subscription.closed
    assert await subscription.wait(HANG_SECONDS) is True
    assert publisher.subscribe(execution_id).closed
