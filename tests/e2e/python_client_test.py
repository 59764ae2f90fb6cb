#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""faultlined as a client sees it that is not ours: Debian's grpcio with stubs that protoc generated.

ctest runs each class by itself (CMakeLists.txt), with the stubs on PYTHONPATH and the program in FAULTLINED. A class
has a server of its own, on a unix socket. Nothing here sleeps: a test waits for a line of the log, a message, or the end
of a process, and each call has a deadline that only a hanging server reaches.
"""

import os
import queue
import signal
import subprocess
import tempfile
import threading
import unittest
import urllib.request

import grpc

from faultline.v1 import (attach_pb2, common_pb2, error_pb2, lab_pb2, lab_pb2_grpc, machine_pb2, machine_pb2_grpc,
                          memory_pb2, memory_pb2_grpc, mm_pb2, observe_pb2, observe_pb2_grpc)
from wire import health_pb2, health_pb2_grpc, reflection_pb2, reflection_pb2_grpc

PATIENCE = 60
MACHINE = "machines/default"
PAGE = 4096
PROT_READ, PROT_WRITE = 1, 2
MAP_PRIVATE, MAP_ANONYMOUS = 0x02, 0x20
SIGSEGV, SEGV_MAPERR = 11, 1
READ, WRITE = common_pb2.ACCESS_KIND_READ, common_pb2.ACCESS_KIND_WRITE


class Server:
    """A child process that serves on a unix socket."""

    def __init__(self, *flags):
        self.folder = tempfile.TemporaryDirectory()
        self.address = f"unix:{self.folder.name}/socket"
        self.process = subprocess.Popen(
            [os.environ["FAULTLINED"], f"--listen={self.address}", "--metrics=127.0.0.1:0", *flags],
            stderr=subprocess.PIPE, text=True)
        self.log = []
        self.read_log_to(" serving ")
        [self.http] = [line.split("=")[1].strip() for line in self.log if "info metrics " in line]
        self.channel = grpc.insecure_channel(self.address)

    def read_log_to(self, text):
        for line in self.process.stderr:
            self.log.append(line)
            if text in line:
                return
        raise AssertionError(f"no '{text}' in the log:\n{''.join(self.log)}")

    def metrics(self):
        """Samples by name with labels, as they are printed."""
        with urllib.request.urlopen(f"http://{self.http}/metrics", timeout=PATIENCE) as reply:
            lines = reply.read().decode().splitlines()
        return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1]) for line in lines if line[0] != "#"}

    def drain(self):
        """Ends it as an orchestrator does; the exit code."""
        self.process.send_signal(signal.SIGTERM)
        self.log += self.process.stderr.readlines()
        return self.process.wait(PATIENCE)

    def close(self):
        self.channel.close()
        self.process.kill()
        self.process.wait()
        self.process.stderr.close()
        self.folder.cleanup()


class ServerCase(unittest.TestCase):
    FLAGS = ()

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.FLAGS)
        cls.addClassCleanup(cls.server.close)
        cls.channel = cls.server.channel
        cls.memory = memory_pb2_grpc.MemoryServiceStub(cls.channel)

    def create_mm(self, **fault):
        options = mm_pb2.MmOptions(fault=common_pb2.FaultOptions(**fault)) if fault else None
        request = memory_pb2.CreateMmRequest(parent=MACHINE, mm=mm_pb2.Mm(options=options))
        return self.memory.CreateMm(request, timeout=PATIENCE).mm.name

    def mmap(self, mm, length, prot=PROT_READ | PROT_WRITE):
        reply = self.memory.Mmap(memory_pb2.MmapRequest(
            mm=mm, length=length, prot=prot, flags=MAP_PRIVATE | MAP_ANONYMOUS), timeout=PATIENCE)
        self.assertEqual(reply.error, 0)
        return reply.address

    def refusal(self, call, request):
        """The code and the detail of a call that is refused."""
        with self.assertRaises(grpc.RpcError) as raised:
            call(request, timeout=PATIENCE)
        return raised.exception.code(), detail_of(raised.exception)


def detail_of(error):
    """The one ErrorDetail of an error's trailing metadata."""
    [packed] = [value for key, value in error.trailing_metadata() if key == "grpc-status-details-bin"]
    status = error_pb2.RpcStatus.FromString(packed)
    assert status.code == error.code().value[0] and status.message == error.details(), status
    [any_detail] = status.details
    detail = error_pb2.ErrorDetail()
    assert any_detail.Unpack(detail), any_detail
    return detail


class HealthTest(ServerCase):
    def setUp(self):
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def check(self, service):
        return self.health.Check(health_pb2.HealthCheckRequest(service=service), timeout=PATIENCE).status

    def test_the_server_and_each_service_serve(self):
        for service in ("", "faultline.v1.MemoryService"):
            self.assertEqual(self.check(service), health_pb2.HealthCheckResponse.SERVING, service)

    def test_an_unknown_service_is_not_found(self):
        with self.assertRaises(grpc.RpcError) as raised:
            self.check("faultline.v1.Nonsense")
        self.assertEqual(raised.exception.code(), grpc.StatusCode.NOT_FOUND)

    def test_a_watch_begins_with_what_is(self):
        watch = self.health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        watch.cancel()


class ReflectionTest(ServerCase):
    def ask(self, **what):
        stub = reflection_pb2_grpc.ServerReflectionStub(self.channel)
        requests = iter([reflection_pb2.ServerReflectionRequest(**what)])
        [reply] = stub.ServerReflectionInfo(requests, timeout=PATIENCE)
        return reply

    def test_all_services_are_listed(self):
        names = {service.name for service in self.ask(list_services="*").list_services_response.service}
        self.assertLessEqual({"faultline.v1.MemoryService", "grpc.health.v1.Health",
                              "grpc.reflection.v1alpha.ServerReflection", "grpc.channelz.v1.Channelz"}, names)

    def test_the_api_that_is_told_is_the_one_that_was_compiled(self):
        reply = self.ask(file_containing_symbol="faultline.v1.MemoryService")
        files = reply.file_descriptor_response.file_descriptor_proto
        self.assertIn(memory_pb2.DESCRIPTOR.serialized_pb, list(files))

    def test_channelz_counts_calls(self):
        call = self.channel.unary_unary("/grpc.channelz.v1.Channelz/GetServers")
        self.assertNotEqual(call(b"", timeout=PATIENCE), b"")


class MemoryTest(ServerCase):
    def fault(self, mm, address, access=WRITE, **more):
        return self.memory.Fault(memory_pb2.FaultRequest(mm=mm, address=address, access=access, **more),
                                 timeout=PATIENCE)

    def test_memory_is_mapped_faulted_written_read_and_unmapped(self):
        mm = self.create_mm()
        address = self.mmap(mm, 4 * PAGE)
        self.assertEqual(self.fault(mm, address).result.signal, 0)
        write = self.memory.Write(memory_pb2.WriteRequest(mm=mm, address=address, word=42), timeout=PATIENCE)
        self.assertEqual(write.result.signal, 0)
        read = self.memory.Read(memory_pb2.ReadRequest(mm=mm, address=address), timeout=PATIENCE)
        self.assertEqual(read.word, 42)
        gone = self.memory.Munmap(memory_pb2.MunmapRequest(mm=mm, address=address, length=4 * PAGE),
                                  timeout=PATIENCE)
        self.assertEqual(gone.error, 0)
        result = self.fault(mm, address).result
        self.assertEqual((result.signal, result.code, result.address), (SIGSEGV, SEGV_MAPERR, address))

    def test_what_the_simulated_kernel_refuses_is_data(self):
        mm = self.create_mm()
        reply = self.memory.Mmap(memory_pb2.MmapRequest(mm=mm, length=0, prot=PROT_READ,
                                                        flags=MAP_PRIVATE | MAP_ANONYMOUS), timeout=PATIENCE)
        self.assertEqual((reply.error, reply.address), (common_pb2.ERRNO_EINVAL, 0))

    def test_a_fault_is_explained_by_its_rungs(self):
        mm = self.create_mm(scheme=common_pb2.SCHEME_RCU_RESTART)
        address = self.mmap(mm, PAGE)
        explanation = self.fault(mm, address, explain=True).explanation
        self.assertNotEqual(len(explanation.rungs), 0)

    def test_every_scheme_can_be_had(self):
        for scheme in common_pb2.Scheme.values():
            mm = self.create_mm(scheme=scheme)
            self.assertEqual(self.fault(mm, self.mmap(mm, PAGE)).result.signal, 0, scheme)

    def test_a_fork_sees_what_was_written_before_it(self):
        mm = self.create_mm()
        address = self.mmap(mm, PAGE)
        self.memory.Write(memory_pb2.WriteRequest(mm=mm, address=address, word=1), timeout=PATIENCE)
        child = self.memory.ForkMm(memory_pb2.ForkMmRequest(mm=mm), timeout=PATIENCE).mm
        self.memory.Write(memory_pb2.WriteRequest(mm=mm, address=address, word=2), timeout=PATIENCE)
        read = self.memory.Read(memory_pb2.ReadRequest(mm=child.name, address=address), timeout=PATIENCE)
        self.assertEqual((child.parent_mm, read.word), (mm, 1))

    def test_metrics_show_faults_by_rung_and_calls_by_method(self):
        mm = self.create_mm(scheme=common_pb2.SCHEME_VMA_LOCK)
        address = self.mmap(mm, 4 * PAGE)
        ended = 'faultline_vmstat{machine="default",name="pgfault"}'
        calls = 'faultline_rpcs_total{method="/faultline.v1.MemoryService/Fault",code="OK"}'
        before = self.server.metrics()
        for page in range(4):
            self.fault(mm, address + page * PAGE)
        after = self.server.metrics()
        self.assertEqual(after[ended] - before[ended], 4)
        self.assertEqual(after[calls] - before.get(calls, 0), 4)
        by_rung = sum(value for name, value in after.items()
                      if name.startswith('faultline_faults_total{machine="default"'))
        self.assertEqual(by_rung, after[ended])
        self.assertGreaterEqual(after['faultline_mms{machine="default"}'], 1)

    def test_each_reply_has_the_same_epoch(self):
        request = memory_pb2.CreateMmRequest(parent=MACHINE)
        epochs = {self.memory.CreateMm(request, timeout=PATIENCE).instance_epoch for _ in range(2)}
        self.assertEqual(len(epochs), 1)
        self.assertNotEqual(epochs, {0})


class Thread:
    """A stream of Attach, one message at a time."""

    def __init__(self, memory, **opening):
        self.requests = queue.Queue()
        self.replies = memory.Attach(iter(self.requests.get, None), timeout=PATIENCE)
        self.requests.put(attach_pb2.AttachRequest(open=attach_pb2.AttachOpen(**opening)))
        self.opened = next(self.replies).opened

    def run(self, **batch):
        self.requests.put(attach_pb2.AttachRequest(batch=attach_pb2.OperationBatch(**batch)))
        return next(self.replies).results

    def close(self):
        self.requests.put(None)
        return list(self.replies)


class AttachTest(ServerCase):
    def test_a_batch_of_faults_is_carried_out_and_its_result_is_small(self):
        mm = self.create_mm()
        count = 4096
        start = self.mmap(mm, count * PAGE)
        thread = Thread(self.memory, mm=mm, thread_id="faulter")
        self.assertEqual(thread.opened.thread, f"{mm}/threads/faulter")
        results = thread.run(batch_id=7, operations=count, kinds=[attach_pb2.OPERATION_KIND_FAULT_WRITE],
                             addresses=[start + i * PAGE for i in range(count)])
        self.assertEqual((results.batch_id, results.completed, list(results.outcomes)), (7, count, []))
        self.assertLess(results.ByteSize(), 64)
        self.assertEqual(thread.close(), [])

    def test_operations_build_on_the_values_of_those_before_them(self):
        thread = Thread(self.memory, mm=self.create_mm())
        kinds = [attach_pb2.OPERATION_KIND_MMAP, attach_pb2.OPERATION_KIND_STORE, attach_pb2.OPERATION_KIND_LOAD,
                 attach_pb2.OPERATION_KIND_MUNMAP, attach_pb2.OPERATION_KIND_LOAD]
        results = thread.run(
            operations=5, kinds=kinds, addresses=[0, PAGE, PAGE, 0, PAGE], bases=[0, 1, 1, 1, 1],
            lengths=[2 * PAGE, 0, 0, 2 * PAGE, 0],
            arguments=[PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, 0, 0, 0, 99],
            with_latencies=True, with_rungs=True)
        self.assertEqual(list(results.outcomes), [0, 0, 0, 0, SIGSEGV + 256 * SEGV_MAPERR])
        self.assertEqual(results.values[2], 99)
        self.assertEqual(len(results.latencies_ns), 5)
        thread.close()

    def test_a_bad_batch_ends_the_stream_and_says_why(self):
        thread = Thread(self.memory, mm=self.create_mm())
        with self.assertRaises(grpc.RpcError) as raised:
            thread.run(operations=3, kinds=[attach_pb2.OPERATION_KIND_FAULT_READ], addresses=[0, 0])
        self.assertEqual(raised.exception.code(), grpc.StatusCode.INVALID_ARGUMENT)
        detail = detail_of(raised.exception)
        self.assertEqual(detail.reason, error_pb2.ERROR_REASON_COLUMN_LENGTH)
        self.assertIn("addresses", detail.field)

    def test_threads_of_one_mm_run_beside_each_other(self):
        mm = self.create_mm(scheme=common_pb2.SCHEME_VMA_REFCNT)
        count, threads = 512, 4
        start = self.mmap(mm, threads * count * PAGE)
        completed = []

        def run(number):
            thread = Thread(self.memory, mm=mm)
            first = start + number * count * PAGE
            results = thread.run(operations=count, kinds=[attach_pb2.OPERATION_KIND_TOUCH_WRITE],
                                 addresses=[first + i * PAGE for i in range(count)])
            completed.append((results.completed, list(results.outcomes)))
            thread.close()

        workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        self.assertEqual(completed, threads * [(count, [])])


class MachineTest(ServerCase):
    def test_a_machine_is_made_used_and_deleted_with_all_that_is_in_it(self):
        machines = machine_pb2_grpc.MachineServiceStub(self.channel)
        made = machines.CreateMachine(machine_pb2.CreateMachineRequest(
            machine_id="m1", machine=machine_pb2.Machine(memory_bytes=1 << 20, cpus=2)), timeout=PATIENCE).machine
        self.assertEqual((made.name, made.memory_bytes, made.cpus), ("machines/m1", 1 << 20, 2))
        self.memory.CreateMm(memory_pb2.CreateMmRequest(parent=made.name), timeout=PATIENCE)
        names = [each.name for each in
                 machines.ListMachines(machine_pb2.ListMachinesRequest(), timeout=PATIENCE).machines]
        self.assertEqual(names, [MACHINE, made.name])
        delete = machine_pb2.DeleteMachineRequest(name=made.name)
        code, detail = self.refusal(machines.DeleteMachine, delete)
        self.assertEqual((code, detail.reason), (grpc.StatusCode.FAILED_PRECONDITION,
                                                 error_pb2.ERROR_REASON_IN_USE))
        delete.force = True
        machines.DeleteMachine(delete, timeout=PATIENCE)
        code, detail = self.refusal(machines.GetMachine, machine_pb2.GetMachineRequest(name=made.name))
        self.assertEqual(detail.reason, error_pb2.ERROR_REASON_NOT_FOUND)

    def test_the_server_says_which_build_it_is_and_what_it_allows(self):
        machines = machine_pb2_grpc.MachineServiceStub(self.channel)
        info = machines.GetServerInfo(machine_pb2.GetServerInfoRequest(), timeout=PATIENCE)
        version = subprocess.run([os.environ["FAULTLINED"], "--version"], capture_output=True, text=True, check=True)
        self.assertEqual(version.stdout, f"faultlined {info.build_id}\n")
        self.assertEqual(info.limits.max_machines, 64)


class ObserveTest(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.observe = observe_pb2_grpc.ObserveServiceStub(cls.channel)

    def test_statistics_count_the_faults_of_an_mm(self):
        mm = self.create_mm()
        address = self.mmap(mm, 8 * PAGE)
        for page in range(8):
            self.memory.Fault(memory_pb2.FaultRequest(mm=mm, address=address + page * PAGE, access=WRITE),
                              timeout=PATIENCE)
        reply = self.observe.GetStatistics(observe_pb2.GetStatisticsRequest(name=mm), timeout=PATIENCE)
        [statistics] = reply.statistics.mms
        self.assertEqual(statistics.faults.ended, 8)

    def test_maps_is_the_kernels_text(self):
        mm = self.create_mm()
        address = self.mmap(mm, 2 * PAGE)
        reply = self.observe.ReadMaps(observe_pb2.ReadMapsRequest(
            mm=mm, format=observe_pb2.MAPS_FORMAT_TEXT), timeout=PATIENCE)
        start, rest = reply.text.decode().split("-", 1)
        self.assertEqual((int(start, 16), int(rest.split()[0], 16), rest.split()[1]),
                         (address, address + 2 * PAGE, "rw-p"))


class LabTest(ServerCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab = lab_pb2_grpc.LabServiceStub(cls.channel)

    def test_a_workload_runs_under_two_schemes_and_says_how_it_went(self):
        preset = self.lab.ListWorkloads(lab_pb2.ListWorkloadsRequest(), timeout=PATIENCE).workloads[0].name
        schemes = [common_pb2.FaultOptions(scheme=scheme)
                   for scheme in (common_pb2.SCHEME_MMAP_LOCK, common_pb2.SCHEME_RCU_RESTART)]
        replies = list(self.lab.RunWorkload(lab_pb2.RunWorkloadRequest(
            machine=MACHINE, preset=preset, schemes=schemes, duration_ns=20_000_000), timeout=PATIENCE))
        results = [reply.result for reply in replies if reply.HasField("result")]
        self.assertEqual([result.options.scheme for result in results], [each.scheme for each in schemes])
        for result in results:
            self.assertGreater(sum(actor.operations for actor in result.actors), 0)
        self.assertEqual(replies[-1].end.results, 2)

    def test_a_search_finds_a_planted_bug_and_its_replay_shows_it_again(self):
        replies = self.lab.Explore(lab_pb2.ExploreRequest(scenario="rwsem", mutant="rwsem_loses_wakeup"),
                                   timeout=PATIENCE)
        [finding] = [reply.result.finding for reply in replies if reply.HasField("result")]
        self.assertNotEqual(finding.replay, "")
        again = self.lab.Replay(lab_pb2.ReplayRequest(replay=finding.replay), timeout=PATIENCE)
        self.assertEqual((again.divergence, again.violation), ("", finding.violation))


class ErrorTest(ServerCase):
    FLAGS = ("--max-mms=2",)

    def test_a_name_of_another_form_is_named_with_what_is_allowed(self):
        code, detail = self.refusal(self.memory.GetMm, memory_pb2.GetMmRequest(name="mms/1"))
        self.assertEqual(code, grpc.StatusCode.INVALID_ARGUMENT)
        self.assertEqual((detail.reason, detail.field, detail.value),
                         (error_pb2.ERROR_REASON_INVALID_NAME, "name", "mms/1"))
        self.assertNotEqual(detail.allowed, "")
        self.assertNotEqual(detail.instance_epoch, 0)

    def test_a_number_of_another_instance_is_not_taken_for_one_of_this(self):
        code, detail = self.refusal(self.memory.GetMm, memory_pb2.GetMmRequest(name=f"{MACHINE}/mms/1"))
        self.assertEqual((code, detail.reason),
                         (grpc.StatusCode.NOT_FOUND, error_pb2.ERROR_REASON_OTHER_INSTANCE))

    def test_a_machine_that_is_not_there_is_not_found(self):
        code, detail = self.refusal(self.memory.CreateMm, memory_pb2.CreateMmRequest(parent="machines/none"))
        self.assertEqual((code, detail.reason, detail.field),
                         (grpc.StatusCode.NOT_FOUND, error_pb2.ERROR_REASON_NOT_FOUND, "parent"))

    def test_a_combination_that_does_not_exist_is_refused_with_what_there_is(self):
        options = mm_pb2.MmOptions(fault=common_pb2.FaultOptions(
            scheme=common_pb2.SCHEME_RCU_RESTART, pgtable_alloc=common_pb2.TABLE_ALLOC_EAGER))
        code, detail = self.refusal(self.memory.CreateMm, memory_pb2.CreateMmRequest(
            parent=MACHINE, mm=mm_pb2.Mm(options=options)))
        self.assertEqual((code, detail.reason), (grpc.StatusCode.INVALID_ARGUMENT,
                                                 error_pb2.ERROR_REASON_REFUSED_COMBINATION))
        self.assertIn("pgtable_alloc", detail.field)

    def test_a_limit_that_is_reached_is_named_and_room_helps(self):
        mms = [self.create_mm() for _ in range(2)]
        request = memory_pb2.CreateMmRequest(parent=MACHINE)
        code, detail = self.refusal(self.memory.CreateMm, request)
        self.assertEqual((code, detail.reason), (grpc.StatusCode.RESOURCE_EXHAUSTED,
                                                 error_pb2.ERROR_REASON_LIMIT_REACHED))
        self.assertIn("max_mms", detail.allowed)
        self.memory.ExitMm(memory_pb2.ExitMmRequest(name=mms[0]), timeout=PATIENCE)
        mms[0] = self.create_mm()
        for mm in mms:
            self.memory.ExitMm(memory_pb2.ExitMmRequest(name=mm), timeout=PATIENCE)


class DrainTest(unittest.TestCase):
    def setUp(self):
        self.start()

    def start(self, *flags):
        self.server = Server(*flags)
        self.addCleanup(self.server.close)
        self.memory = memory_pb2_grpc.MemoryServiceStub(self.server.channel)

    def pause_for_an_hour(self):
        """A thread in the middle of a batch. Both stay attached: grpcio cancels a call whose object is gone."""
        mm = self.memory.CreateMm(memory_pb2.CreateMmRequest(parent=MACHINE), timeout=PATIENCE).mm.name
        pauses = Thread(self.memory, mm=mm, progress_group="g", progress_number=1)
        waits = Thread(self.memory, mm=mm, progress_group="g", progress_number=2)
        self.attached = [pauses, waits]
        pauses.requests.put(attach_pb2.AttachRequest(batch=attach_pb2.OperationBatch(
            operations=2, kinds=[attach_pb2.OPERATION_KIND_MUNLOCKALL, attach_pb2.OPERATION_KIND_PAUSE],
            lengths=[0, 3600 * 10**9])))
        # It is answered when the other one has carried out its first operation.
        results = waits.run(operations=1, kinds=[attach_pb2.OPERATION_KIND_WAIT_PROGRESS],
                            addresses=[1], lengths=[1], arguments=[0])
        self.assertEqual((results.completed, list(results.outcomes)), (1, []))

    def test_what_outlasts_the_drain_is_cancelled_and_told_by_the_exit_code(self):
        self.start("--drain-seconds=0")
        self.pause_for_an_hour()
        self.assertEqual(self.server.drain(), 4, self.server.log)

    def test_a_second_signal_ends_it_at_once(self):
        self.pause_for_an_hour()
        self.server.process.send_signal(signal.SIGTERM)
        self.server.read_log_to("draining")
        self.assertEqual(self.server.drain(), 4, self.server.log)
        self.assertIn("ended by a second signal", self.server.log[-1])

    def test_watchers_are_told_and_a_drain_ends_with_zero(self):
        health = health_pb2_grpc.HealthStub(self.server.channel)
        watch = health.Watch(health_pb2.HealthCheckRequest(), timeout=PATIENCE)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.SERVING)
        self.server.process.send_signal(signal.SIGTERM)
        self.assertEqual(next(watch).status, health_pb2.HealthCheckResponse.NOT_SERVING)
        self.assertEqual(self.server.process.wait(PATIENCE), 0)
        with self.assertRaises(grpc.RpcError):
            next(watch)

    def test_a_thread_that_waits_for_work_is_ended_with_draining(self):
        mm = self.memory.CreateMm(memory_pb2.CreateMmRequest(parent=MACHINE), timeout=PATIENCE).mm.name
        thread = Thread(self.memory, mm=mm)
        self.assertEqual(self.server.drain(), 0, self.server.log)
        with self.assertRaises(grpc.RpcError) as raised:
            next(thread.replies)
        self.assertEqual(detail_of(raised.exception).reason, error_pb2.ERROR_REASON_DRAINING)

    def test_calls_under_load_either_succeed_or_were_never_begun(self):
        request = memory_pb2.CreateMmRequest(parent=MACHINE)
        mm = self.memory.CreateMm(request, timeout=PATIENCE).mm.name
        begun = threading.Barrier(5)
        codes = []

        def call_until_refused():
            begun.wait()
            while True:
                try:
                    self.memory.GetMm(memory_pb2.GetMmRequest(name=mm), timeout=PATIENCE)
                except grpc.RpcError as error:
                    codes.append(error.code())
                    return

        callers = [threading.Thread(target=call_until_refused) for _ in range(4)]
        for caller in callers:
            caller.start()
        begun.wait()
        self.assertEqual(self.server.drain(), 0, self.server.log)
        for caller in callers:
            caller.join()
        self.assertEqual(codes, 4 * [grpc.StatusCode.UNAVAILABLE])


if __name__ == "__main__":
    unittest.main()
