"""On the path of child processes of tests: their models are fake, all else is real."""

import os
import sys
from importlib.machinery import PathFinder

if os.environ.get("TESTS_FAKE_MODELS"):

    class _Finder:
        """Puts the fake models in right after `flows.session` was imported."""

        @staticmethod
        def find_spec(name, path=None, target=None):
            if name != "flows.session":
                return None
            spec = PathFinder.find_spec(name, path, target)
            plain = spec.loader.exec_module

            def exec_module(module):
                plain(module)
                from tests.fake_models import FakeModels

                module.load_real_embedder = FakeModels().load

            spec.loader.exec_module = exec_module
            return spec

    sys.meta_path.insert(0, _Finder())
